/**
 * Runs one step of a build with a separate log and reports its progress. An error that leaves a
 * step has the name of the step and the path of its log.
 */
import { createWriteStream, type WriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type ErrorCode, NffiError, toNffiError } from "../errors.js";
import { buildEnvironment, type Environment } from "../host/environment.js";
import { type Command, type Completed, run } from "../io/exec.js";
import { diagnose, diagnosisOf } from "./diagnosis.js";
import { type Reporter, STEPS, type StepName } from "./reporter.js";

/** `env` is added to the environment that every program of a build has. */
export type StepCommand = Omit<Command, "env"> & Partial<Pick<Command, "env">>;

/** The context that a step may use besides its input. */
export interface StepContext {
  readonly signal: AbortSignal;
  readonly env: Environment;
  /** Reports in a few words the current action, or at the end the result. */
  note(text: string): void;
  /** `details` are what the text sums up: for the log, --verbose and programs. */
  warn(text: string, details?: readonly string[]): void;
  /** Writes a line into the step's log. */
  log(text: string): void;
  /** Runs a program; its output goes into the log and is not in the result. */
  run(command: StepCommand): Promise<Completed>;
  /** Runs a program and throws unless it exits with 0. */
  mustRun(command: StepCommand, code: ErrorCode, failure: string): Promise<void>;
}

export type StepRunner = <T>(
  name: StepName,
  body: (context: StepContext) => Promise<T>,
) => Promise<T>;

export interface StepSurroundings {
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
  readonly env: Environment;
  readonly logDir: string;
}

export function stepRunner(around: StepSurroundings): StepRunner {
  return async (name, body) => {
    around.signal.throwIfAborted();
    const logPath = logPathOf(around.logDir, name);
    const log = createWriteStream(logPath);
    let logFailure: Error | undefined;
    log.on("error", (failure) => {
      logFailure = failure; // a full disk most likely; the step is about to meet it, too
    });
    const started = performance.now();
    let lastNote: string | undefined;
    around.reporter.stepStarted(name);
    try {
      const result = await body(
        contextOf(name, around, log, (note) => {
          lastNote = note;
        }),
      );
      const durationMs = performance.now() - started;
      around.reporter.stepFinished(name, { note: lastNote, durationMs });
      return result;
    } catch (thrown) {
      const error = toNffiError(around.signal.aborted ? around.signal.reason : thrown);
      error.step = name;
      error.logPath = logPath;
      log.write(`\n${error.code === "internal" ? error.stack : error.message}\n`);
      await closed(log);
      if (error.code === "compile-failed") {
        error.diagnosis = logFailure ? diagnosisOf(logFailure.message) : await diagnose(logPath);
      }
      around.reporter.stepFailed(name, error);
      throw error;
    } finally {
      await closed(log);
    }
  };
}

/** The end of a log, for the error message of a step. */
export async function endOfLog(logPath: string, lines: number): Promise<string[]> {
  const text = await readFile(logPath, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-lines);
}

function logPathOf(logDir: string, name: StepName): string {
  const number = Object.keys(STEPS).indexOf(name) + 1;
  return join(logDir, `${String(number).padStart(2, "0")}-${name.replaceAll(" ", "-")}.log`);
}

function contextOf(
  name: StepName,
  around: StepSurroundings,
  log: WriteStream,
  onNote: (note: string) => void,
): StepContext {
  const shared = buildEnvironment(around.env);
  const runLogged = async (command: StepCommand): Promise<Completed> => {
    log.write(`$ ${[command.program, ...command.args].join(" ")}\n`);
    const completed = await run(
      { ...command, env: { ...shared, ...command.env } },
      {
        signal: around.signal,
        onOutput: (text) => {
          log.write(text);
          around.reporter.stepOutput(name, text);
        },
      },
    );
    log.write(`(${endOf(completed)})\n`);
    return completed;
  };
  return {
    signal: around.signal,
    env: around.env,
    note: (text) => {
      onNote(text);
      log.write(`${text}\n`);
      around.reporter.stepNote(name, text);
    },
    warn: (text, details = []) => {
      for (const line of [text, ...details]) log.write(`warning: ${line}\n`);
      around.reporter.warning(text, details);
    },
    log: (text) => log.write(`${text}\n`),
    run: runLogged,
    mustRun: async (command, code, failure) => {
      const completed = await runLogged(command);
      if (completed.exitCode === 0) return;
      throw new NffiError(code, `${failure} (${command.program}: ${endOf(completed)})`);
    },
  };
}

function endOf(completed: Completed): string {
  if (completed.startError) return `cannot be started: ${completed.startError}`;
  if (completed.signal) return `ended by ${completed.signal}`;
  return `exit code ${completed.exitCode}`;
}

function closed(log: WriteStream): Promise<void> {
  if (log.writableFinished) return Promise.resolve();
  return new Promise((resolve) => log.end(resolve));
}
