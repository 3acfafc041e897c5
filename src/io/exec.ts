/**
 * The only import of execa: runs programs, each in a separate process group, so that an abort
 * (Ctrl-C, SIGTERM) ends the program and everything that it started. A failing program is a result,
 * not an exception: the caller knows what the failure means.
 */
import { execFile } from "node:child_process";

/** Loaded with the first program: its hundred files take 0.1 s. */
const loadExeca = async () => (await import("execa")).execa;

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string | undefined;
  /** The whole environment of the program: nothing of nffi's own is added. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs it as this user, without further groups; only root may. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  readonly input?: string | undefined;
}

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  /** Gets stdout and stderr, interleaved, while the program runs. */
  readonly onOutput?: ((text: string) => void) | undefined;
}

export interface Completed {
  /** undefined when the program did not start or was ended by a signal. */
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  /** Why the program did not start (ENOENT, EACCES). */
  readonly startError: string | undefined;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

const GRACE_MS = 3_000;

/** Runs a command to its end. Throws only the abort reason when `signal` is aborted. */
export async function run(command: Command, options: RunOptions = {}): Promise<Completed> {
  const keepOutput = options.onOutput === undefined;
  const execa = await loadExeca();
  options.signal?.throwIfAborted();
  const child = execa(command.program, command.args, {
    cwd: command.cwd ?? process.cwd(),
    env: command.env,
    extendEnv: false,
    ...command.user,
    ...(command.input === undefined ? { stdin: "ignore" } : { input: command.input }),
    all: true as const,
    buffer: keepOutput,
    detached: true,
    cleanup: false,
    reject: false,
    stripFinalNewline: false,
  });

  const stopGroup = groupStopper(child.pid);
  let timedOut = false;
  const timer = options.timeoutMs
    ? setTimeout(() => {
        timedOut = true;
        stopGroup();
      }, options.timeoutMs)
    : undefined;
  options.signal?.addEventListener("abort", stopGroup, { once: true });
  if (options.onOutput) child.all?.setEncoding("utf8").on("data", options.onOutput);

  try {
    const result = await child;
    options.signal?.throwIfAborted();
    return {
      exitCode: result.exitCode,
      signal: result.signal,
      startError: result.exitCode === undefined && !result.signal ? result.code : undefined,
      timedOut,
      stdout: keepOutput ? String(result.stdout ?? "") : "",
      stderr: keepOutput ? String(result.stderr ?? "") : "",
    };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", stopGroup);
  }
}

/**
 * Returns stdout of a short program, also of one that fails; empty if it cannot start. No execa.
 */
export function outputOf({ program, args, cwd, env, input = "" }: Command): Promise<string> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { cwd, env }, (_error, stdout) => resolve(stdout));
    child.stdin?.on("error", () => {}); // EPIPE: it has not read all of its input
    child.stdin?.end(input);
  });
}

export interface RunningProgram {
  readonly pid: number | undefined;
  /** How it ended, once it has. */
  readonly ended: () => string | undefined;
  /** Ends the whole group and waits for its end. */
  stop(): Promise<void>;
}

/** Starts a program that goes on until it is stopped; its output is appended to a file. */
export async function start(command: Command, outputFile: string): Promise<RunningProgram> {
  const execa = await loadExeca();
  let end: string | undefined;
  const child = execa(command.program, command.args, {
    cwd: command.cwd ?? process.cwd(),
    env: command.env,
    extendEnv: false,
    ...command.user,
    stdin: "ignore",
    stdout: { file: outputFile, append: true },
    stderr: { file: outputFile, append: true },
    buffer: false,
    detached: true,
    cleanup: false,
    reject: false,
  });
  const ended = child.then((result) => {
    end = result.signal ?? result.code ?? `exit code ${result.exitCode}`;
  });
  const stopGroup = groupStopper(child.pid);
  return {
    pid: child.pid,
    ended: () => end,
    stop: async () => {
      stopGroup();
      await ended;
    },
  };
}

/** Ends a process group: TERM first, then KILL for the processes that are left after a while. */
function groupStopper(pid: number | undefined): () => void {
  return () => {
    if (pid === undefined || !signalGroup(pid, "SIGTERM")) return;
    const started = Date.now();
    const again = setInterval(() => {
      const overdue = Date.now() - started > GRACE_MS;
      if (!signalGroup(pid, overdue ? "SIGKILL" : 0) || overdue) clearInterval(again);
    }, 50);
  };
}

function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false; // ESRCH: the whole group has ended
  }
}
