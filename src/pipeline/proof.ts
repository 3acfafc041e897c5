/**
 * The proof that a product works: the symbols our parts need of each other are exported, and a
 * real nginx, started from the product's directory, answers a request by one call through the echo
 * library.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { NffiError } from "../errors.js";
import { buildEnvironment, type Environment } from "../host/environment.js";
import { type RunningProgram, run, start } from "../io/exec.js";
import { getLocal } from "../io/http.js";
import { freePort } from "../io/port.js";
import { proofConf } from "./proof-conf.js";
import { libraryVariable, type ProofPlace } from "./proof-place.js";

/** libnffi and LuaJIT must come from below `librariesFrom`: another product must not stand in. */
export interface Proof extends ProofPlace {
  /** Made for nginx to run in, and removed. */
  readonly proofDir: string;
  /** Environment variables that its nginx needs. */
  readonly env: Readonly<Record<string, string>>;
}

export interface ProofContext {
  readonly signal: AbortSignal;
  readonly env: Environment;
  log(text: string): void;
}

export async function runProof(proof: Proof, context: ProofContext): Promise<void> {
  for (const [file, symbols] of Object.entries(REQUIRED_SYMBOLS)) {
    await requireSymbols(join(proof.productDir, file), symbols, context.env);
    context.log(`${file} exports ${symbols.join(", ")}`);
  }
  await rm(proof.proofDir, { recursive: true, force: true });
  try {
    await proveByCall(proof, context);
  } finally {
    await rm(proof.proofDir, { recursive: true, force: true });
  }
}

const REQUIRED_SYMBOLS: Readonly<Record<string, readonly string[]>> = {
  "nginx/sbin/nginx": ["ngx_thread_pool_post_done", "ngx_http_lua_nonblocking_ffi_abi_version"],
  "nffi/lib/libnffi.so": [
    "nffi_queue_poll",
    "nffi_respond",
    "ngx_http_lua_nonblocking_ffi_task_poll",
    "ngx_http_lua_ffi_task_poll",
  ],
};

async function requireSymbols(
  file: string,
  symbols: readonly string[],
  env: Environment,
): Promise<void> {
  const args = ["-D", "--defined-only", file];
  const nm = await run({ program: "nm", args, env: buildEnvironment(env) });
  const exported = new Set(nm.stdout.split("\n").map((line) => line.trim().split(/[\s@]+/)[2]));
  const missing = symbols.filter((symbol) => !exported.has(symbol));
  if (missing.length === 0) return;
  throw new NffiError("proof-failed", `${file} does not export ${missing.join(", ")}`, {
    hint: nm.stderr.trim() || "remove the option after `--` that disables these symbols",
  });
}

const ATTEMPTS = 5;

/** A port can be taken between finding and binding it; another is tried then. */
async function proveByCall(proof: Proof, context: ProofContext): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const log = join(proof.proofDir, "error.log");
    const nginx = await startNginx(proof, port, context.env);
    try {
      await requireEcho(nginx, port, context.signal);
      await requireOwnLibraries(nginx, proof);
      context.log(`workers of nginx run as user ${await userOfWorkers(nginx)}`);
      return;
    } catch (thrown) {
      const text = await readFile(log, "utf8").catch(() => "");
      context.log(text);
      const portTaken = /bind\(\) to \S+ failed/.test(text);
      if (portTaken && attempt < ATTEMPTS && !context.signal.aborted) continue;
      throw thrown instanceof NffiError ? withEndOf(text, thrown) : thrown;
    } finally {
      await nginx.stop();
    }
  }
}

async function startNginx(proof: Proof, port: number, env: Environment): Promise<RunningProgram> {
  const { productDir, proofDir, workersAreRoot } = proof;
  const conf = join(proofDir, "nginx.conf");
  await mkdir(join(proofDir, "temp"), { recursive: true });
  await writeFile(conf, proofConf(productDir, port, { workersAreRoot }));
  const below = (path: string) => join(productDir, path);
  return start(
    {
      program: below("nginx/sbin/nginx"),
      args: ["-p", `${proofDir}/`, "-c", conf, "-e", join(proofDir, "error.log")],
      cwd: proofDir,
      env: {
        ...buildEnvironment(env),
        ...proof.env,
        ...libraryVariable(proof),
      },
    },
    join(proofDir, "error.log"),
  );
}

const PATIENCE_MS = 30_000;

async function requireEcho(
  nginx: RunningProgram,
  port: number,
  signal: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  const url = `http://127.0.0.1:${port}/`;
  for (;;) {
    signal.throwIfAborted();
    const response = await getLocal(url, { timeoutMs: PATIENCE_MS, signal }).catch(() => undefined);
    if (response?.status === 200 && response.text === "bytes") return;
    if (response) {
      throw new NffiError(
        "proof-failed",
        `the request of the proof got status ${response.status}`,
        {
          hint: response.text.trim(),
        },
      );
    }
    const end = nginx.ended();
    if (end !== undefined) throw new NffiError("proof-failed", `nginx has ended (${end})`);
    if (Date.now() > deadline) throw new NffiError("proof-failed", "nginx does not answer");
    await sleep(50);
  }
}

async function userOfWorkers({ pid }: RunningProgram): Promise<string> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  const [worker = ""] = children.trim().split(" ");
  const status = await readFile(`/proc/${worker}/status`, "utf8").catch(() => "");
  return /^Uid:\t\d+\t(\d+)/m.exec(status)?.[1] ?? "unknown";
}

/** An older product in the prefix must not have stood in for the one that is to be proven. */
async function requireOwnLibraries(nginx: RunningProgram, proof: Proof): Promise<void> {
  const maps = await readFile(`/proc/${nginx.pid}/maps`, "utf8").catch(() => "");
  const libraries = maps.match(/(?<= )\/.*\/lib(?:nffi|luajit)[^/]*\.so.*$/gm) ?? [];
  const foreign = libraries.filter((library) => !library.startsWith(`${proof.librariesFrom}/`));
  if (foreign.length === 0) return;
  throw new NffiError("proof-failed", `the nginx of the proof has loaded ${foreign[0]}`, {
    hint: "an option after `--` sets an rpath that precedes LD_LIBRARY_PATH: remove it",
  });
}

function withEndOf(errorLog: string, failure: NffiError): NffiError {
  const end = errorLog.trimEnd().split("\n").slice(-10).join("\n");
  const hint = [failure.hint, end && `the end of its error.log:\n${end}`].filter(Boolean);
  return new NffiError("proof-failed", failure.message, {
    hint: hint.join("\n"),
    cause: failure,
  });
}
