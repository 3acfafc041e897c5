/**
 * Profiles of a running process, requested by a signal: SIGUSR2 starts a CPU profile and, sent
 * again or after 30 s, ends it; SIGHUP writes a heap snapshot. A file gets its name when it is
 * complete, and only its owner may read it: a heap contains secrets.
 */

import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { Session } from "node:inspector";
import { basename, join } from "node:path";
import { writeHeapSnapshot } from "node:v8";
import { logNow } from "./console.js";

export type ProfileKind = "cpu" | "heap";

const SIGNALS = { SIGUSR2: "cpu", SIGHUP: "heap" } as const satisfies Record<string, ProfileKind>;

const MAX_CPU_MS = 30_000;

/** Calls back for each of the signals. */
export function onProfileSignals(wanted: (kind: ProfileKind) => void): void {
  for (const [signal, kind] of Object.entries(SIGNALS)) process.on(signal, () => wanted(kind));
}

/** Throws, for people, when no profile could be written there. */
export function checkProfileFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === "EACCES" ? `user ${process.getuid?.()} may not write there` : message;
    throw new Error(`profile_dir ${folder}: ${reason}`);
  }
}

/** Of one thread, the main one included. */
export class Profiler {
  readonly #folder: string;
  readonly #module: string;
  readonly #where: string;
  #session: Session | undefined;
  /** When the process or the thread ends by itself: the profile is as long as it was. */
  readonly #atExit = () => this.#session && this.#finish(this.#session);
  #end: NodeJS.Timeout | undefined;
  #count = 0;

  /** `where`: what is profiled, "process" or "thread 2". */
  constructor(folder: string, module: string, where: string) {
    this.#folder = folder;
    this.#module = module;
    this.#where = where;
  }

  profile(kind: ProfileKind): void {
    if (kind === "heap") this.#write(".heapsnapshot", (path) => writeHeapSnapshot(path));
    else if (this.#session === undefined) this.#begin();
    else this.#finish(this.#session);
  }

  #begin(): void {
    const session = new Session();
    session.connect();
    session.post("Profiler.enable");
    session.post("Profiler.start");
    this.#session = session;
    process.once("exit", this.#atExit);
    this.#end = setTimeout(() => this.#finish(session), MAX_CPU_MS).unref();
    const seconds = MAX_CPU_MS / 1000;
    this.#log(`a CPU profile was begun, of ${seconds} s or until SIGUSR2 comes again`);
  }

  #finish(session: Session): void {
    clearTimeout(this.#end);
    process.off("exit", this.#atExit);
    this.#session = undefined;
    session.post("Profiler.stop", (error, stopped) => {
      if (error === null) {
        const text = JSON.stringify(stopped.profile);
        this.#write(".cpuprofile", (path) => writeFileSync(path, text));
      }
      session.disconnect();
    });
  }

  #write(extension: string, write: (path: string) => void): void {
    const path = join(this.#folder, this.#nameNow() + extension);
    const temporary = `${path}.part`;
    try {
      closeSync(openSync(temporary, "wx", 0o600));
      write(temporary);
      renameSync(temporary, path);
      this.#log(`written: ${path}`);
    } catch (error) {
      rmSync(temporary, { force: true });
      logNow("error", `${this.#module}: ${path} cannot be written: ${(error as Error).message}`);
    }
  }

  /** As `main.ts-4711-thread2-20261123T001500-1`. */
  #nameNow(): string {
    const time = new Date().toISOString().replace(/\.\d+Z|[-:]/g, "");
    const thread = this.#where === "process" ? "" : `-${this.#where.replace(" ", "")}`;
    return `${basename(this.#module)}-${process.pid}${thread}-${time}-${++this.#count}`;
  }

  #log(what: string): void {
    const who = this.#where === "process" ? this.#module : `${this.#module}: ${this.#where}`;
    logNow("notice", `${who}: ${what}`);
  }
}
