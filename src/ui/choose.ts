/** Lets the user choose on the terminal; without a terminal, the first choice is taken. */
import { createInterface } from "node:readline/promises";
import { NffiError } from "../errors.js";

export interface Choice {
  readonly name: string;
  readonly title: string;
}

/** By number, name or title; an empty answer is the first one. */
export async function choose<T extends Choice>(
  question: string,
  choices: readonly [T, ...T[]],
  signal: AbortSignal,
): Promise<T> {
  const [first] = choices;
  if (!process.stdin.isTTY || !process.stdout.isTTY) return first;
  const terminal = createInterface({ input: process.stdin, output: process.stdout, signal });
  terminal.setPrompt(`${question} [1] `);
  try {
    for (const [index, { title }] of choices.entries()) console.log(`  ${index + 1}  ${title}`);
    terminal.prompt();
    for await (const line of terminal) {
      const answer = line.trim();
      const chosen = answer === "" ? first : chosenBy(answer, choices);
      if (chosen) return chosen;
      console.log(`answer with a number from 1 to ${choices.length}`);
      terminal.prompt();
    }
  } finally {
    terminal.close();
  }
  signal.throwIfAborted();
  throw new NffiError("interrupted", "nothing was chosen");
}

export function chosenBy<T extends Choice>(answer: string, choices: readonly T[]): T | undefined {
  const wanted = answer.toLowerCase();
  return choices.find(
    ({ name, title }, index) =>
      wanted === String(index + 1) || wanted === name || wanted === title.toLowerCase(),
  );
}
