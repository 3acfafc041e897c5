/** The context that the CLI passes to every command; tests pass another one. */
import type { Environment } from "../host/environment.js";
import type { Choice } from "../ui/choose.js";

export interface CommandContext {
  readonly env: Environment;
  readonly cwd: string;
  /** How the user has called this program: "nffi", or a longer command that works as well. */
  readonly nffi: string;
  /** Aborted by SIGINT and SIGTERM, with the NffiError that ends the program. */
  readonly signal: AbortSignal;
  /** Writes a line to stdout. */
  print(line: string): void;
  /** Asks the user; no where there is no terminal to ask on. */
  confirm(question: string): Promise<boolean>;
  /** Lets the user choose; the first one where there is no terminal to ask on. */
  choose<T extends Choice>(question: string, choices: readonly [T, ...T[]]): Promise<T>;
  /** stdout is a terminal that can move its cursor. */
  readonly isTerminal: boolean;
}
