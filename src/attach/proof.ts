/**
 * Proves a product on its nginx: starts that program once more, with its modules, makes a call in
 * each way that depends on the layout of nginx's core, and stops it.
 */
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf, NffiError } from "../errors.js";
import { buildEnvironment } from "../host/environment.js";
import { findUser, isRoot, type User } from "../host/user.js";
import { run } from "../io/exec.js";
import { getLocal } from "../io/http.js";
import { directivesOf, type NginxConf, type ReadContext } from "./nginx-conf.js";
import { type NginxProgram, titleOfNginx } from "./nginx-program.js";
import type { NgxLua } from "./ngx-lua.js";
import { CHECKS, type CheckName, httpConf, MODULE, streamConf } from "./proof-conf.js";
import { withScratch } from "./scratch-dir.js";
import { type ScratchNginx, startScratch } from "./scratch-nginx.js";

export interface ProofTarget {
  readonly nginx: NginxProgram;
  readonly ngxLua: NgxLua;
  readonly conf: NginxConf;
  /** The product that is proven: its prefix, or where it is staged. */
  readonly productDir: string;
}

export interface ProofContext extends ReadContext {
  log(text: string): void;
  warn(text: string): void;
}

export async function prove(target: ProofTarget, context: ProofContext): Promise<void> {
  const workers = await workersOf(target, context);
  const hasNode = await canRunNode(workers, context);
  const wish = { env: context.env, user: workers.user, elsewhere: target.productDir };
  await withScratch(wish, async (dir) => {
    await writeFile(join(dir, "proof.mjs"), MODULE);
    const nginx = await startScratch(target.nginx, confOf(target, workers, dir), dir, context.env);
    try {
      await proveAll(nginx, target, hasNode, context);
    } catch (thrown) {
      context.signal.throwIfAborted();
      throw failed(target, messageOf(thrown), await nginx.errorLog(), context);
    } finally {
      await nginx.stop();
    }
  });
}

interface Workers {
  /** undefined: nffi does not run as root, so the workers run as the current user. */
  readonly user: User | undefined;
  readonly name: string;
  /** The arguments of `user`; undefined: nginx needs none. */
  readonly directive: string | undefined;
}

function confOf({ ngxLua, conf, productDir }: ProofTarget, workers: Workers, dir: string) {
  const paths = { productDir, dir };
  const luaPath = `${productDir}/lualib/?.lua;${ngxLua.configuredPath ?? ";"}`;
  return {
    modules: conf.modules,
    user: workers.directive,
    luaPath,
    http: httpConf(paths),
    main: ngxLua.hasStream ? streamConf(paths, luaPath) : "",
  };
}

/** The user of nginx's workers: from nginx.conf, else the one that nginx was compiled with. */
async function workersOf({ nginx, conf }: ProofTarget, context: ProofContext): Promise<Workers> {
  if (!isRoot()) return { user: undefined, name: "", directive: undefined };
  const compiled = nginx.configure.findLast((one) => one.startsWith("--user="))?.slice(7);
  const words = directivesOf(conf.files, "user").at(-1)?.words;
  const name = words?.[0] ?? compiled ?? "nobody";
  const user = await findUser(name, context.env);
  // without a directive nginx uses the user and group that it was compiled with
  if (user) return { user, name, directive: words?.join(" ") };
  context.warn(`unknown user ${name} of nginx's workers; the proof ran as root`);
  return { user: undefined, name: "root", directive: "root root" };
}

/** The workers cannot execute a Node in root's home directory, such as nvm's. */
async function canRunNode({ user, name }: Workers, context: ProofContext): Promise<boolean> {
  if (user === undefined) return true;
  const command = { program: process.execPath, args: ["--version"], cwd: "/", user };
  const { exitCode } = await run({ ...command, env: buildEnvironment(context.env) });
  if (exitCode === 0) return true;
  context.warn(
    `TypeScript was not proven: nginx's workers run as ${name}, and ${name} cannot run ` +
      `${process.execPath}; install a Node.js for all users, such as /usr/bin/node`,
  );
  return false;
}

async function proveAll(
  nginx: ScratchNginx,
  { ngxLua }: ProofTarget,
  hasNode: boolean,
  context: ProofContext,
): Promise<void> {
  await untilListening(nginx, context);
  for (const name of Object.keys(CHECKS) as CheckName[]) {
    if (name === "node" && !hasNode) continue;
    const response = await get(nginx, name, context);
    if (response !== "ok") throw new NffiError("proof-failed", `${CHECKS[name]}: ${response}`);
    context.log(`proven: ${CHECKS[name]}`);
  }
  if (ngxLua.hasStream) {
    const response = await askStream(join(nginx.dir, "stream.sock"));
    if (response !== "ok") throw new NffiError("proof-failed", `a call in stream {}: ${response}`);
    context.log("proven: a call in stream {}");
  }
  await requireStop(nginx);
  context.log("proven: nginx stops when it is asked to");
}

const PATIENCE_MS = 30_000;

async function untilListening(nginx: ScratchNginx, { signal }: ProofContext): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    signal.throwIfAborted();
    const pid = await readFile(join(nginx.dir, "nginx.pid"), "utf8").catch(() => "");
    if (pid !== "") return;
    const end = nginx.ended();
    if (end !== undefined) throw new NffiError("proof-failed", `nginx has ended (${end})`);
    if (Date.now() > deadline) throw new NffiError("proof-failed", "nginx does not start");
    await sleep(20);
  }
}

async function get(nginx: ScratchNginx, name: string, { signal }: ProofContext): Promise<string> {
  const socketPath = join(nginx.dir, "http.sock");
  const options = { timeoutMs: PATIENCE_MS, signal, socketPath };
  const { status, text } = await getLocal(`http://localhost/${name}`, options);
  return status === 200 ? text.trim() : `status ${status}`;
}

function askStream(path: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(path);
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
    socket.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    socket.on("error", (error) => {
      text += error.message;
    });
    socket.on("close", () => resolve(text || "no response"));
  });
}

/** Nothing is in flight, so a graceful shutdown takes no time. */
const STOP_MS = 5_000;

async function requireStop(nginx: ScratchNginx): Promise<void> {
  if (nginx.pid !== undefined) process.kill(nginx.pid, "SIGQUIT");
  const deadline = Date.now() + STOP_MS;
  while (nginx.ended() === undefined) {
    if (Date.now() > deadline) {
      throw new NffiError(
        "proof-failed",
        `nginx has not stopped ${STOP_MS / 1000} s after SIGQUIT`,
      );
    }
    await sleep(20);
  }
  if (nginx.ended() !== "exit code 0") {
    throw new NffiError("proof-failed", `nginx has ended with ${nginx.ended()}`);
  }
}

const SHOWN = 12;

function failed(
  { nginx }: ProofTarget,
  reason: string,
  errorLog: string,
  context: ProofContext,
): NffiError {
  context.log(errorLog);
  const lines = errorLog.split("\n").filter((line) => !/\[(?:debug|info|notice)\]/.test(line));
  const end = lines.join("\n").trim().split("\n").slice(-SHOWN).join("\n");
  const title = titleOfNginx(nginx);
  return new NffiError("proof-failed", `nffi does not work with ${title}: ${reason}`, {
    hint: [
      "nothing was installed or changed; `nffi build` builds an OpenResty that works",
      ...(end ? [`the end of its error.log:\n${end}`] : []),
    ].join("\n"),
  });
}
