// A worker for tests: drives host.c, which starts a real Node with the real program over the real
// libnffi. See host.c for the lines that are spoken.
import { type ChildProcess, spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { installedRuntime } from "./installed-runtime.js";

export interface HostOptions {
  readonly codec?: "json" | "raw";
  readonly config?: unknown;
  readonly threads?: number;
  readonly inspect?: { readonly first: number; readonly count: number };
  /** Where profiles are written. */
  readonly profileFolder?: string;
  readonly nodeArgs?: readonly string[];
  /** What Node runs, instead of the program that serves a module. */
  readonly main?: string;
  /** Another Node than the one that runs the tests. */
  readonly program?: string;
}

export interface Answer {
  readonly rc: number;
  /** Hex; a long answer is `#SIZE`, with `!` at the end when it is not the pattern. */
  readonly hex: string;
}

/** What Lua would get as nil, message, "runtime_error", detail. */
export class CallFailure extends Error {
  readonly detail: string;

  constructor(message: string, detail: string) {
    super(message);
    this.detail = detail;
  }
}

export interface Call {
  readonly id: number;
  readonly answer: Promise<Answer>;
}

/** An answer in chunks; its end settles `answer`. */
export interface Stream extends Call {
  /** Hex, as in an answer. */
  readonly chunks: string[];
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

const running = new Set<Host>();

/** For afterEach: whatever a test left running. */
export async function stopHosts(): Promise<void> {
  await Promise.all([...running].map((host) => host.kill()));
}

export function fixture(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
}

export class Host {
  /** The process id of Node. */
  readonly pid: Promise<number>;
  /** Resolves with "ready", or with why the runtime could not start. */
  readonly started: Promise<string>;
  /** The runtime's process has ended. */
  readonly gone: Promise<void>;
  readonly ended: Promise<void>;
  /** All that the runtime printed so far; a mark is shown as `[level] `. */
  stdout = "";
  stderr = "";
  /** Messages for the log: call, 0 when it has ended; level; text. */
  readonly logs: string[] = [];

  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #chunks = new Map<number, string[]>();
  #told: (words: string[]) => void = () => {};
  #state: ((words: string[]) => void) | undefined;
  #calls = 0;

  /** Starts a runtime and waits until it serves. */
  static async start(module: string, options: HostOptions = {}): Promise<Host> {
    const host = new Host(module, options);
    const started = await host.started;
    if (started !== "ready") throw new Error(`${started}\n${host.stderr}`);
    return host;
  }

  constructor(module: string, options: HostOptions = {}) {
    const { host, main, addon, supervisor } = installedRuntime();
    const { codec, config, threads, inspect, program = process.execPath } = options;
    const settings = JSON.stringify({
      ...{ module, codec, config, threads, inspect, name: "test" },
      profile_dir: options.profileFolder,
    });
    const preload = join(dirname(main), "preload.js");
    const args = ["--import", preload, ...(options.nodeArgs ?? [])];
    const command = [program, ...args, options.main ?? main, addon];
    this.#child = spawn(host, [settings, ...command], {
      stdio: ["pipe", "pipe", "inherit"],
      env: {
        PATH: "/usr/local/bin:/usr/bin:/bin",
        NFFI_ATTACH: "1",
        NFFI_SUPERVISOR: supervisor,
      },
    });
    running.add(this);
    const heard = this.#listen();
    this.pid = heard("pid").then(([pid]) => Number(pid));
    this.gone = heard("gone").then(() => {});
    this.started = Promise.race([
      heard("ready").then(() => "ready"),
      heard("failed").then(([text]) => decode(text)),
      heard("spawn").then((words) => `spawn failed: ${words.join(" ")}`),
      this.gone.then(() => "ended before it was ready"),
    ]);
    this.ended = new Promise((resolve) => this.#child.once("close", () => resolve()));
    this.ended.then(() => running.delete(this));
  }

  /** A call of a method with JSON both ways. */
  async json(method: string, value?: unknown): Promise<unknown> {
    const text = value === undefined ? "" : JSON.stringify(value);
    return parse(await this.call(method, text).answer);
  }

  /** A call with bytes both ways, of a method or (undefined) of the default export. */
  async bytes(bytes: Uint8Array | string, method?: string): Promise<Buffer> {
    return Buffer.from((await this.call(method, bytes).answer).hex, "hex");
  }

  call(method: string | undefined, bytes: Uint8Array | string, timeoutMs = 0): Call {
    return this.#submit(method, Buffer.from(bytes).toString("hex"), timeoutMs);
  }

  /** Calls the default export with a pattern of `size` bytes. */
  pattern(size: number): Promise<Answer> {
    return this.#submit(undefined, `*${size}`, 0).answer;
  }

  /** A stream with a limit of unread bytes. Nothing is read before credit() allows it. */
  stream(method: string, value: unknown, window = 65_536): Stream {
    const bytes = Buffer.from(JSON.stringify(value)).toString("hex");
    const { id, answer } = this.#expectAnswer();
    const chunks: string[] = [];
    this.#chunks.set(id, chunks);
    this.#say(`stream ${id} ${method} ${window} ${bytes}`);
    return { id, answer, chunks };
  }

  /** Reports that one chunk of this size was read. */
  credit(stream: Stream, size: number): void {
    this.#say(`credit ${stream.id} ${size}`);
  }

  cancel(call: Call): void {
    this.#say(`cancel ${call.id}`);
  }

  close(): void {
    this.#say("close");
  }

  async state(): Promise<{ queued: number; unanswered: number; refused: number }> {
    const words = await new Promise<string[]>((resolve) => {
      this.#state = resolve;
      this.#say("state");
    });
    const [queued, unanswered, , refused] = words.map(Number) as [number, number, number, number];
    return { queued, unanswered, refused };
  }

  /** Kills the worker as the kernel would: the runtime gets no word from it. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  #submit(method: string | undefined, bytes: string, timeoutMs: number): Call {
    const call = this.#expectAnswer();
    this.#say(`call ${call.id} ${method ?? "-"} ${timeoutMs} ${bytes}`);
    return call;
  }

  #expectAnswer(): Call {
    const id = ++this.#calls;
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    answer.catch(() => {});
    return { id, answer };
  }

  #say(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Processes the lines of host.c. The result returns the first line that begins with a word. */
  #listen(): (word: string) => Promise<string[]> {
    const waiting = new Map<string, (words: string[]) => void>();
    this.#told = ([first = "", ...rest]) => {
      waiting.get(first)?.(rest);
    };
    this.#child.stdin?.on("error", () => {});
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on("line", (line) =>
      this.#obey(line.split(" ")),
    );
    return (word) => new Promise((resolve) => waiting.set(word, resolve));
  }

  #obey(words: string[]): void {
    const [kind, first = "", second = "", third = ""] = words;
    if (kind === "out") this.stdout += showMarks(decode(first));
    if (kind === "err") this.stderr += showMarks(decode(first));
    if (kind === "state") this.#state?.(words.slice(1));
    if (kind === "answer") this.#take(first)?.resolve({ rc: Number(second), hex: third });
    if (kind === "chunk") this.#chunks.get(Number(first))?.push(third);
    if (kind === "end") this.#take(first)?.resolve({ rc: 0, hex: "" });
    if (kind === "log") this.logs.push(`${first} ${second} ${decode(third)}`);
    if (kind === "refused") this.#take(first)?.reject(new Error(second));
    if (kind === "error") {
      this.#take(first)?.reject(new CallFailure(decode(second), decode(third)));
    }
    this.#told(words);
  }

  #take(id: string): Waiting | undefined {
    const waiting = this.#waiting.get(Number(id));
    this.#waiting.delete(Number(id));
    return waiting;
  }
}

function decode(hex = ""): string {
  return Buffer.from(hex, "hex").toString();
}

function showMarks(text: string): string {
  return text.replaceAll("\x01", "[").replaceAll("\x02", "] ");
}

function parse({ hex }: Answer): unknown {
  return JSON.parse(decode(hex));
}

/** Asks until it is so, or fails after 10 s. */
export async function untilTrue(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("waited 10 s in vain");
}
