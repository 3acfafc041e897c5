/**
 * The settings that the worker passes to this process: which module to serve, and how. They are
 * JSON in the memory of the queue and not in the environment: a configuration may hold secrets, and
 * the environment can be read in /proc and is inherited by the module's own child processes.
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
  /** Absolute path of the directory for profiles. */
  readonly profileFolder: string | undefined;
}

export function parseSettings(text: string | undefined): Settings {
  let given: unknown;
  try {
    given = JSON.parse(text ?? "null");
  } catch {
    // The message of JSON.parse quotes the text, which may hold secrets.
    throw new Error("invalid settings of the runtime: not JSON");
  }
  if (typeof given !== "object" || given === null) {
    throw new Error("invalid settings of the runtime: expected a JSON object");
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
