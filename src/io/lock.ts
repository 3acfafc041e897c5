/**
 * A lock on a directory or file. The kernel releases it when its owner ends, in any way, and other
 * containers that share the directory respect it. Node has no flock(2), so util-linux's `flock`
 * (part of every Debian and Fedora) holds it while its stdin, a pipe from this process, is open.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { NffiError } from "../errors.js";

export interface Lock {
  release(): Promise<void>;
}

export interface LockOptions {
  /** Wait until the owner has finished instead of failing. */
  readonly wait?: boolean;
  /** Ends the waiting. */
  readonly signal?: AbortSignal;
  readonly busyMessage?: string;
}

const BUSY = 75;

/** Locks an existing file or directory. */
export async function acquireLock(path: string, options: LockOptions = {}): Promise<Lock> {
  const mode = options.wait ? [] : ["--nonblock"];
  const holder = spawn(
    "flock",
    ["--exclusive", ...mode, "--conflict-exit-code", String(BUSY), path, "sh", "-c", HOLD],
    { stdio: ["pipe", "pipe", "ignore"], detached: true },
  );
  const giveUp = () => holder.kill();
  options.signal?.addEventListener("abort", giveUp);
  const outcome = await Promise.race([held(holder), ended(holder)]);
  options.signal?.removeEventListener("abort", giveUp);
  if (options.signal?.aborted) {
    await releaseFrom(holder);
    throw options.signal.reason;
  }
  if (outcome === "held") {
    return { release: () => releaseFrom(holder) };
  }
  if (outcome === BUSY) {
    throw new NffiError("locked", options.busyMessage ?? `${path} is in use by another nffi`, {
      hint: "wait until the other run has ended",
    });
  }
  throw new NffiError("toolchain-missing", `cannot lock ${path}: flock ended with ${outcome}`, {
    hint: "flock is needed; Debian package: util-linux",
  });
}

// `exec` so that one process holds the lock and ends when our end of the pipe is closed.
const HOLD = "echo held; exec cat >/dev/null";

function held(holder: ChildProcess): Promise<"held"> {
  return new Promise((resolve) => holder.stdout?.once("data", () => resolve("held")));
}

function ended(holder: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => {
    holder.once("error", (error) => resolve(error.message));
    holder.once("exit", (code, signal) => resolve(code ?? signal ?? "nothing"));
  });
}

async function releaseFrom(holder: ChildProcess): Promise<void> {
  if (holder.exitCode !== null || holder.signalCode !== null) return;
  const end = ended(holder);
  holder.stdin?.end();
  await end;
}
