/**
 * What the worker tells this process: which module to serve, and how. It comes as JSON in the
 * environment and is removed from there, since a configuration may hold secrets and the module's
 * own child processes inherit the environment.
 */

import { isAbsolute } from "node:path";
import type { InspectPorts } from "./inspect.js";

export interface Settings {
  /** Absolute path of the module. */
  readonly module: string;
  readonly codec: "json" | "raw";
  readonly config: unknown;
  /** Worker threads that serve it; 0: the main thread does. */
  readonly threads: number;
  /** As Lua names it, for the title of the process. */
  readonly name: string;
  readonly inspect: InspectPorts | undefined;
  /** Absolute path of the folder for profiles. */
  readonly profileFolder: string | undefined;
}

const VARIABLE = "NFFI_RUNTIME";

export function takeSettings(environment: NodeJS.ProcessEnv): string {
  const text = environment[VARIABLE];
  delete environment[VARIABLE];
  if (text !== undefined) return text;
  throw new Error(`${VARIABLE} is not set: this program is started by an nginx worker`);
}

export function parseSettings(text: string): Settings {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${VARIABLE} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof given !== "object" || given === null) {
    throw new Error(`${VARIABLE} is not a JSON object`);
  }
  const settings = given as Record<string, unknown>;
  const { module, codec = "json", config = null, threads = 0 } = settings;
  if (typeof module !== "string" || !isAbsolute(module)) {
    throw new Error(`module must be an absolute path, but is ${JSON.stringify(module)}`);
  }
  if (codec !== "json" && codec !== "raw") {
    throw new Error(`codec must be "json" or "raw", but is ${JSON.stringify(codec)}`);
  }
  if (typeof threads !== "number" || !Number.isInteger(threads) || threads < 0) {
    throw new Error(`threads must be a whole number, but is ${JSON.stringify(threads)}`);
  }
  return {
    module,
    codec,
    config,
    threads,
    name: String(settings.name ?? module),
    inspect: settings.inspect as InspectPorts | undefined,
    profileFolder: settings.profile_dir as string | undefined,
  };
}
