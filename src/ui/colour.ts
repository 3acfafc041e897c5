/**
 * Whether a stream gets colours: FORCE_COLOR, then NO_COLOR, then what the stream is,
 * in the order that Node has.
 */
import { type Environment, isContinuousIntegration } from "../host/environment.js";

export type Paint = (text: string) => string;

export function wantsColour(env: Environment, isTerminal: boolean): boolean {
  if (env.FORCE_COLOR !== undefined) return !["", "0", "false"].includes(env.FORCE_COLOR);
  if (env.NO_COLOR) return false;
  return isTerminal && env.TERM !== "dumb" && !isContinuousIntegration(env);
}

export function red(coloured: boolean): Paint {
  return (text) => (coloured ? `\x1b[31m${text}\x1b[39m` : text);
}
