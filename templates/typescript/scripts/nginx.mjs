// @ts-check
// `npm start` and `npm stop`: the nginx that `nffi build` made, with the nginx.conf of this project.
//
//   node scripts/nginx.mjs start [--port N] [--run FOLDER]
//   node scripts/nginx.mjs stop [--run FOLDER]
//
// FOLDER (run) is nginx's prefix, in this project: its logs and its pid file go there. With --port a
// copy of nginx.conf is used whose first `listen` names that port.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** `listen PORT` or `listen ADDRESS:PORT`. */
const LISTEN = /^(\s*listen\s+(?:(?:[\w.*-]+|\[[^\]]*\]):)?)(\d+)(?=[\s;])/m;

const USAGE = `usage: npm start -- [--port N] [--run FOLDER]
       npm stop -- [--run FOLDER]
       npm run dev -- [--port N] [--run FOLDER]
npm takes for itself what stands before the \`--\``;

/** An error that the user can fix: printed without a stack. */
class Failure extends Error {}

/**
 * Makes nginx reload everything, including nginx.conf, which runs as a copy with another port.
 * @param {{ run: string, port?: number | undefined }} options
 */
export function reload({ run, port }) {
  const pid = pidOf(run);
  if (pid === undefined) return;
  const conf = configuration(run, port);
  if (conf.copy) writeFileSync(conf.file, conf.copy);
  process.kill(pid, "SIGHUP");
}

/**
 * Starts nginx and returns its address. @param {{ run: string, port?: number | undefined }} options
 */
export async function start({ run, port }) {
  const nginx = join(productPrefix(), "nginx/sbin/nginx");
  if (!existsSync(nginx)) throw new Failure(`there is no ${nginx}: run \`nffi build\` again`);
  if (!existsSync(join(root, "dist"))) throw new Failure("nothing is built: run `npm run build`");
  if (pidOf(run)) throw new Failure(`nginx runs already in ${run}/: \`npm stop\` ends it`);

  const conf = configuration(run, port);
  await requireFree(conf.port);
  if (conf.copy) writeFileSync(conf.file, conf.copy);
  mkdirSync(join(root, run, "logs"), { recursive: true });
  const args = ["-p", join(root, run), "-c", conf.file];
  // As root, nginx would run its worker as nobody, which often may not read this folder.
  if (process.getuid?.() === 0 && !conf.namesUser) args.push("-g", "user root root;");
  const started = spawnSync(nginx, args, { encoding: "utf8" });
  if (started.status !== 0) {
    throw new Failure(`nginx does not start:\n${(started.stderr || String(started.error)).trim()}`);
  }
  await until(() => pidOf(run) !== undefined, `nginx has exited; see ${run}/logs/error.log`);
  return `http://127.0.0.1:${conf.port}`;
}

/**
 * Lets nginx finish the running requests, then ends it. Returns false if none runs. @param {{ run:
 * string }} options
 */
export async function stop({ run }) {
  const pid = pidOf(run);
  if (pid !== undefined) {
    process.kill(pid, "SIGQUIT");
    const gone = () => !isNginx(pid, run);
    await until(gone, "").catch(() => process.kill(pid, "SIGTERM"));
    await until(gone, `nginx (pid ${pid}) does not end; see ${run}/logs/error.log`);
  }
  rmSync(copyOfConf(run), { force: true });
  return pid !== undefined;
}

/** The pid of the nginx that runs in a folder. @param {string} run */
export function pidOf(run) {
  try {
    const pid = Number(readFileSync(join(root, run, "logs/nginx.pid"), "utf8"));
    return isNginx(pid, run) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/**
 * A pid file can outlive its nginx, and its number be another program's, another project's nginx even.
 * @param {number} pid @param {string} run
 */
function isNginx(pid, run) {
  try {
    const title = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return title.startsWith("nginx: master") && title.includes(` -p ${join(root, run)} `);
  } catch {
    return false;
  }
}

/**
 * Where `nffi build` has installed. package.json names a folder of it as @nffi/runtime; the package in
 * node_modules does not, since npm 9.0 to 9.3 copies it.
 */
function productPrefix() {
  if (process.env.NFFI_PREFIX) return resolve(process.env.NFFI_PREFIX);
  const { dependencies, devDependencies } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  );
  const spec = { ...dependencies, ...devDependencies }["@nffi/runtime"];
  const folder = /^file:(.+)$/.exec(spec ?? "")?.[1];
  if (folder) return resolve(root, folder, "../..");
  throw new Failure(
    "cannot find the OpenResty of this project: package.json has no path of @nffi/runtime\n" +
      "(file:PREFIX/nffi/node). Add it, or set NFFI_PREFIX",
  );
}

/**
 * The file for nginx, its text where it is a copy, and what matters here of its content.
 * @param {string} run @param {number | undefined} port
 */
function configuration(run, port) {
  const file = join(root, "nginx.conf");
  const text = readFileSync(file, "utf8");
  const listens = LISTEN.exec(text);
  if (!listens) {
    throw new Failure(
      "no port found in nginx.conf: expected a line `listen PORT;` or `listen ADDRESS:PORT;`",
    );
  }
  const namesUser = /^\s*user\s/m.test(text);
  if (port === undefined) return { file, port: Number(listens[2]), namesUser };
  const copy = text.replace(LISTEN, `$1${port}`);
  return { file: copyOfConf(run), copy, port, namesUser };
}

/** Beside nginx.conf, since an `include` is seen from its folder. @param {string} run */
function copyOfConf(run) {
  return join(root, `.nginx-${basename(run)}.conf`);
}

/** @param {number} port */
async function requireFree(port) {
  const server = createServer();
  try {
    await new Promise((done, failed) => {
      server.once("error", failed).listen(port, "127.0.0.1", () => done(undefined));
    });
  } catch (error) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code !== "EADDRINUSE") throw new Failure(`port ${port} cannot be used: ${message}`);
    throw new Failure(
      `port ${port} is used by another program: choose one with \`npm start -- --port N\`,\n` +
        "or change `listen` in nginx.conf",
    );
  }
  await new Promise((done) => server.close(done));
}

/** @param {() => boolean} condition @param {string} failure */
async function until(condition, failure) {
  for (const deadline = Date.now() + 10_000; !condition(); await setTimeout(50)) {
    if (Date.now() > deadline) throw new Failure(failure);
  }
}

async function main() {
  const [action, ...args] = process.argv.slice(2);
  if (action !== "start" && action !== "stop") throw new Failure(USAGE);
  const { run, port } = optionsOf(args);
  if (action === "start") {
    const address = await start({ run, port });
    console.log(`nginx listens on ${address} (log: ${run}/logs/error.log; npm stop ends it)`);
  } else {
    console.log((await stop({ run })) ? "nginx has ended" : `no nginx runs in ${run}/`);
  }
}

/** @param {string[]} args */
export function optionsOf(args) {
  const { run, port } = readOptions(args);
  // Modules are seen from nginx's prefix: `../dist` must be this project's.
  if (!/^[\w-][\w.-]*$/.test(run)) {
    throw new Failure(`--run takes the name of a folder in this project, not "${run}"`);
  }
  return { run, port: portOf(port) };
}

/** @param {string[]} args */
function readOptions(args) {
  try {
    const options = /** @type {const} */ ({
      port: { type: "string" },
      run: { type: "string", default: "run" },
    });
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new Failure(`${/** @type {Error} */ (error).message}\n${USAGE}`);
  }
}

/** @param {string | undefined} text */
function portOf(text) {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65536) return port;
  throw new Failure(`--port takes a number from 1 to 65535, not "${text}"`);
}

/** @param {unknown} thrown */
export function report(thrown) {
  // What the system refuses (a folder of another user, a full disk) is no fault of this script.
  const expected = thrown instanceof Failure || (thrown instanceof Error && "syscall" in thrown);
  console.error(expected ? thrown.message : thrown);
  process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main().catch(report);
