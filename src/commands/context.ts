/** What every command gets from the CLI; a test brings its own. */
import type { Environment } from "../host/environment.js";

export interface CommandContext {
  readonly env: Environment;
  readonly cwd: string;
  /** Aborted by SIGINT and SIGTERM, with the NffiError that ends the program. */
  readonly signal: AbortSignal;
  /** Writes a line to stdout. */
  print(line: string): void;
  /** Asks the user; no where there is no terminal to ask on. */
  confirm(question: string): Promise<boolean>;
  /** stdout is a terminal that can move its cursor. */
  readonly isTerminal: boolean;
}
