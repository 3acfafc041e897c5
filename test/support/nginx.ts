// Starts a real nginx of a built prefix with the configuration of one test, in a separate directory
// and on a free port of the loopback interface, and stops it so that nothing is left.
import { type ChildProcess, spawn } from "node:child_process";
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Agent, request } from "undici";
import { onTestFinished } from "vitest";
import { freePort } from "../../src/io/port.js";
import { adapted, placeOf } from "./attached-conf.js";
import { repository } from "./cli.js";
import {
  childrenOf,
  commandLineOf,
  familyOf,
  type ProcessId,
  stillThereAfter,
} from "./processes.js";

const valgrind = process.env.NFFI_TEST_VALGRIND === "1";

export interface NginxOptions {
  /** The prefix that `nffi build` filled. */
  readonly prefix: string;
  /** Directives of the main level, such as `env NAME;` or `user nobody;`. */
  readonly main?: string;
  readonly events?: string;
  /** Directives of the http level. */
  readonly http?: string;
  /** Directives and locations of the one server. */
  readonly server?: string;
  /** A whole configuration instead of the above; @PORT@ and @DIR@ are replaced. */
  readonly conf?: string;
  readonly workers?: number;
  /** worker_connections; 4096 if not given. */
  readonly connections?: number;
  readonly logLevel?: string;
  /** Starts it with `-p .` in its directory instead of an absolute prefix. */
  readonly relativePrefix?: boolean;
  /** Files written into the directory before the start, by relative path. */
  readonly files?: Readonly<Record<string, string>>;
  /** Goes into the background as in production: a binary upgrade requires that. */
  readonly daemon?: boolean;
  /** The environment of nginx; by default the test's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Response {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface RequestOptions {
  readonly method?: "GET" | "POST" | "PUT" | "HEAD";
  readonly body?: string | Buffer;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const dir = mkdtempSync(join(tmpdir(), "nffi-nginx-"));
  const port = await freePort();
  try {
    await writeFiles(dir, port, options);
    return await Nginx.start(options, dir, port);
  } catch (thrown) {
    rmSync(dir, { recursive: true, force: true });
    throw thrown;
  }
}

/** For a test that ends it itself: should the test fail before, nothing is left either. */
export async function startNginxForTest(options: NginxOptions): Promise<Nginx> {
  const nginx = await startNginx(options);
  onTestFinished(() => nginx.stop({ signal: "SIGKILL", expectClean: false }));
  return nginx;
}

export async function withNginx<T>(
  options: NginxOptions,
  use: (nginx: Nginx) => Promise<T>,
): Promise<T> {
  const nginx = await startNginx(options);
  try {
    return await use(nginx);
  } finally {
    await nginx.stop();
  }
}

export class Nginx {
  #agent = newAgent();
  readonly #family = new Map<string, ProcessId>();

  private constructor(
    readonly prefix: string,
    readonly dir: string,
    readonly port: number,
    readonly process: ChildProcess,
    readonly daemon: boolean,
  ) {}

  static async start(options: NginxOptions, dir: string, port: number): Promise<Nginx> {
    const program = placeOf(options.prefix).program ?? join(options.prefix, "nginx/sbin/nginx");
    const output = openSync(join(dir, "output.log"), "a");
    const prefix = options.relativePrefix ? "." : dir;
    const [run, ...args] = [...watched(dir), program, "-p", prefix, "-c", join(dir, "nginx.conf")];
    const child = spawn(run as string, args, {
      cwd: dir,
      env: options.env ?? process.env,
      stdio: ["ignore", output, output],
    });
    closeSync(output);
    const nginx = new Nginx(options.prefix, dir, port, child, options.daemon ?? false);
    try {
      await nginx.#ready();
    } catch (thrown) {
      await nginx.stop({ signal: "SIGKILL", expectClean: false });
      throw thrown;
    }
    return nginx;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Of the master process; after a binary upgrade of the new one. */
  get pid(): number {
    if (!this.daemon) return this.process.pid ?? 0;
    // for a moment of a binary upgrade there is only the other file
    const file = join(this.dir, "logs/nginx.pid");
    return Number(readOrEmpty(file) || readOrEmpty(`${file}.oldbin`)) || (this.process.pid ?? 0);
  }

  async request(path: string, options: RequestOptions = {}): Promise<Response> {
    const response = await request(`${this.url}${path}`, {
      method: options.method ?? (options.body === undefined ? "GET" : "POST"),
      body: options.body ?? null,
      headers: options.headers ?? {},
      signal: options.signal ?? null,
      dispatcher: this.#agent,
      headersTimeout: 60_000,
      bodyTimeout: 60_000,
    }).catch((thrown) => {
      // a worker that ended, perhaps: its master says how
      if (thrown.code === "UND_ERR_SOCKET") {
        thrown.message += `\n${path} --- error.log:\n${this.errorLog().slice(-10_000)}`;
      }
      throw thrown;
    });
    return {
      status: response.statusCode,
      body: await response.body.text(),
      headers: response.headers,
    };
  }

  /** The body of a GET that must answer 200. */
  async get(path: string): Promise<string> {
    const response = await this.request(path);
    if (response.status !== 200) {
      throw new Error(
        `GET ${path}: ${response.status}\n${response.body}\n--- error.log:\n${this.errorLog()}`,
      );
    }
    return response.body;
  }

  /** Pids of the worker processes (and helpers such as the cache manager). */
  workers(): number[] {
    // under valgrind the title is not seen from outside
    const title = valgrind ? "valgrind" : "nginx: worker";
    return childrenOf(this.pid).filter((pid) => commandLineOf(pid).includes(title));
  }

  /** Everything that descends from this nginx now, itself included. */
  family(): ProcessId[] {
    const family = familyOf(this.pid);
    for (const id of family) this.#family.set(`${id.pid}/${id.started}`, id);
    return family;
  }

  errorLog(): string {
    return (
      readOrEmpty(join(this.dir, "logs/error.log")) + readOrEmpty(join(this.dir, "output.log"))
    );
  }

  async waitForLog(pattern: RegExp | string, timeoutMs = 10_000): Promise<string> {
    await until(
      () => {
        const log = this.errorLog();
        return typeof pattern === "string" ? log.includes(pattern) : pattern.test(log);
      },
      timeoutMs,
      () => `no ${String(pattern)} in error.log:\n${this.errorLog()}`,
    );
    return this.errorLog();
  }

  signal(name: NodeJS.Signals, pid = this.pid): void {
    this.family();
    process.kill(pid, name);
  }

  /**
   * Sends SIGHUP and waits until new workers run and the old ones are exiting or have exited: the
   * master waits 0.1 s or more between the two. Later requests go to a new worker.
   */
  async reload(timeoutMs = 10_000): Promise<void> {
    const before = this.workers();
    this.signal("SIGHUP");
    await until(
      () => {
        const now = this.workers();
        return now.some((pid) => !before.includes(pid)) && !before.some(isAtWork);
      },
      timeoutMs,
      () => `no new worker after SIGHUP, or an old one stays at work:\n${this.errorLog()}`,
    );
    // a leaving worker closes its idle connections, perhaps under a request that comes just then
    void this.#agent.close();
    this.#agent = newAgent();
  }

  /**
   * Stops nginx (SIGQUIT waits for calls in flight, SIGTERM does not) and throws when a process of
   * its family is left; whatever is left is killed.
   */
  async stop(
    how: { signal?: NodeJS.Signals; timeoutMs?: number; expectClean?: boolean } = {},
  ): Promise<void> {
    const family = this.family();
    if (family.length > 0 && this.daemon) {
      process.kill(this.pid, how.signal ?? "SIGTERM");
    } else if (family.length > 0 && !this.#hasEnded()) {
      this.process.kill(how.signal ?? "SIGTERM");
    }
    const left = await stillThereAfter([...this.#family.values()], how.timeoutMs ?? 15_000);
    const names = left.map((id) => `${id.pid} ${commandLineOf(id.pid) || "(zombie)"}`);
    for (const id of left) killQuietly(id.pid);
    await this.#agent.destroy();
    const log = this.errorLog();
    const faults = memoryFaults(this.dir, log);
    rmSync(this.dir, { recursive: true, force: true });
    if (left.length > 0 && how.expectClean !== false) {
      throw new Error(`left behind by nginx: ${names.join("; ")}\n--- error.log:\n${log}`);
    }
    if (faults) throw new Error(`nginx misused its memory:\n${faults}`);
  }

  #hasEnded(): boolean {
    return this.process.exitCode !== null || this.process.signalCode !== null;
  }

  async #ready(): Promise<void> {
    await until(
      async () => {
        if (this.#hasEnded() && !(this.daemon && this.process.exitCode === 0)) {
          throw new Error(`nginx did not start:\n${this.errorLog()}`);
        }
        return await this.request("/nffi-test-ready").then(
          () => true,
          () => false,
        );
      },
      20_000,
      () => `nginx does not answer:\n${this.errorLog()}`,
    );
    this.family();
  }
}

function newAgent(): Agent {
  return new Agent({ connections: 2048, pipelining: 1 });
}

/** True if this worker runs and is not shutting down, which is not visible under valgrind. */
function isAtWork(pid: number): boolean {
  const title = commandLineOf(pid);
  return title.includes("nginx: worker") && !title.includes("is shutting down");
}

/** The command before the program: none, or valgrind, with a log for each worker. */
function watched(dir: string): string[] {
  if (!valgrind) return [];
  return [
    ...["valgrind", "--quiet", "--smc-check=all-non-file", "--num-callers=30"],
    `--suppressions=${repository}/test/support/valgrind.supp`,
    `--log-file=${dir}/logs/valgrind.%p`,
  ];
}

/** Reports of AddressSanitizer or valgrind; empty when there are none. */
function memoryFaults(dir: string, log: string): string {
  const report = log.indexOf("ERROR: AddressSanitizer");
  const reports = report < 0 ? [] : [log.slice(report)];
  if (valgrind) {
    const logs = join(dir, "logs");
    const names = readdirSync(logs).filter((name) => name.startsWith("valgrind."));
    reports.push(...names.map((name) => readOrEmpty(join(logs, name))));
  }
  return reports.join("\n").trim();
}

/** Polls until `condition` holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  describe: () => string,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`${describe()}\n(waited ${timeoutMs} ms)`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function writeFiles(dir: string, port: number, options: NginxOptions): Promise<void> {
  // mkdtemp makes the directory 0700; a worker that runs as another user must get in.
  chmodSync(dir, 0o755);
  for (const name of ["logs", "temp"]) mkdirSync(join(dir, name));
  const conf = adapted(options.conf ?? configuration(options), options.prefix)
    .replaceAll("@PORT@", String(port))
    .replaceAll("@DIR@", dir);
  await writeFile(join(dir, "nginx.conf"), conf);
  for (const [name, text] of Object.entries(options.files ?? {})) {
    const file = join(dir, name);
    mkdirSync(dirname(file), { recursive: true });
    await writeFile(file, adapted(text, options.prefix));
  }
}

function configuration(options: NginxOptions): string {
  return `
daemon ${options.daemon ? "on" : "off"};
worker_processes ${options.workers ?? 1};
pid logs/nginx.pid;
error_log logs/error.log ${options.logLevel ?? "info"};
${options.main ?? ""}
events {
    worker_connections ${options.connections ?? 4096};
    ${options.events ?? ""}
}
http {
    access_log off;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    ${options.http ?? ""}
    server {
        listen 127.0.0.1:@PORT@ backlog=4096;
        ${options.server ?? ""}
    }
}
`;
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it has just gone by itself
  }
}
