import { afterEach, expect, test, vi } from "vitest";
import { confirm } from "../../../src/ui/confirm.js";

const { question } = vi.hoisted(() => ({ question: vi.fn() }));

vi.mock("node:readline/promises", () => ({
  createInterface: () => ({ question, close: () => {} }),
}));

const { stdin, stdout } = process;
const isTerminal = [stdin.isTTY, stdout.isTTY] as const;
afterEach(() => {
  [stdin.isTTY, stdout.isTTY] = isTerminal;
});

test("Ctrl-C or Ctrl-D at the question is an interruption", async () => {
  [stdin.isTTY, stdout.isTTY] = [true, true];
  // as readline does it
  const aborted = Object.assign(new Error("Aborted with Ctrl+C"), { name: "AbortError" });
  question.mockRejectedValue(aborted);
  await expect(confirm("install?", new AbortController().signal)).rejects.toMatchObject({
    code: "interrupted",
  });
});
