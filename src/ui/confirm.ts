/** Asks on the terminal; without a terminal, the answer is no. */
import { createInterface } from "node:readline/promises";
import { NffiError } from "../errors.js";

export async function confirm(question: string, signal: AbortSignal): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal });
    return /^y(es)?$/i.test(answer.trim());
  } catch (thrown) {
    signal.throwIfAborted();
    // readline: Ctrl-C, or Ctrl-D instead of an answer
    if (thrown instanceof Error && thrown.name === "AbortError") {
      throw new NffiError("interrupted", "nothing was answered", { cause: thrown });
    }
    throw thrown;
  } finally {
    terminal.close();
  }
}
