// `npm run demo`: from a fresh clone to an answer. Builds an OpenResty, makes a TypeScript runtime
// for it, starts nginx, asks it, prints what it answers, and ends it. Everything is in .nffi/; a
// second run builds only what has changed.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installDependencies } from "./npm-dependencies.mjs";
import { ensurePackages, FOR_BUILD } from "./os-packages.mjs";

const HELP = `npm run demo -- [options]
  --port N      where nginx listens (8080)
  --prefix DIR  use the OpenResty there, or build it there if there is none (.nffi/openresty)
  --source S    what to build from, as for nffi build (debian; official where apt has no Debian)
  --yes         install missing packages of the operating system with sudo without asking`;

/** The inputs of a build. A product that is older than one of them is built again. */
const SOURCES = ["bin", "c-src", "lua", "patches", "src"];

// As the CLI has them.
const EXIT = {
  failed: 1,
  usage: 2,
  toolchainMissing: 4,
  portOccupied: 17,
  SIGINT: 130,
  SIGTERM: 143,
};

/** Programs of this package, by the name they are shown with. */
const OURS = { nffi: "bin/nffi.mjs", tsc: "node_modules/typescript/bin/tsc" };

const root = fileURLToPath(new URL("..", import.meta.url));
const demo = join(root, ".nffi/demo");
const project = join(demo, "hello");

class Failure extends Error {
  constructor(message, exitCode, options) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

let running;
let interrupted;
// The terminal sends Ctrl-C to the running program as well; other signals are forwarded.
process.on("SIGINT", () => {
  interrupted ??= "SIGINT";
});
process.on("SIGTERM", () => {
  interrupted ??= "SIGTERM";
  running?.kill("SIGTERM");
});

try {
  await main();
} catch (thrown) {
  if (!interrupted)
    console.error(`nffi: ${thrown instanceof Failure ? thrown.message : thrown.stack}`);
  process.exitCode = EXIT[interrupted] ?? thrown.exitCode ?? EXIT.failed;
} finally {
  stopNginx();
}

async function main() {
  const options = optionsOf(process.argv.slice(2));
  if (options === undefined) return;
  const { port } = options;
  stopNginx(); // of a demo that was killed
  await requireFreePort(port);

  const mustBuild = !isUsable(options);
  await ensurePackages([...(mustBuild ? FOR_BUILD : []), "curl:curl"]).catch((error) => {
    const message = "the packages could not be installed, see above";
    throw new Failure(message, EXIT.toolchainMissing, { cause: error });
  });
  installDependencies();
  if (mustBuild) await build(options);
  else console.log(`using the OpenResty in ${seenFromHere(options.prefix)}`);

  await makeProject(options);
  await run(project, "npm", "install", "--no-audit", "--no-fund");
  await run(project, "npm", "run", "build", "--silent");
  await run(project, "npm", "start", "--silent");
  await run(project, "curl", "-sS", "--fail", `http://127.0.0.1:${port}/hello?name=World`);
  await run(project, "npm", "stop", "--silent");
  console.log(`
That was a TypeScript function, called from Lua in nginx. Its project is in
${seenFromHere(project)}; see its README.md for the next steps.`);
}

function optionsOf(args) {
  const { values } = readArgs(args);
  if (values.help) {
    console.log(HELP);
    return undefined;
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new Failure(`--port expects a number from 1 to 65535, got "${values.port}"`, EXIT.usage);
  }
  const ownPrefix = values.prefix === undefined;
  const prefix = resolve(root, values.prefix ?? ".nffi/openresty");
  return { port, prefix, ownPrefix, source: values.source ?? defaultSource() };
}

/** Debian's signed sources where apt offers them; Ubuntu and others take the official release. */
function defaultSource() {
  if (offersDebian()) return "debian";
  console.log(
    "apt of this machine offers no Debian sources: the demo downloads the official OpenResty instead\n" +
      "(without a network: npm run demo -- --source FILE, where FILE is a release archive)",
  );
  return "official";
}

/** True if an apt entry names a suite of Debian. On Ubuntu, `stable` may be another archive's. */
function offersDebian() {
  if (/^ID(_LIKE)?=.*ubuntu/m.test(readText("/etc/os-release"))) return false;
  const folder = "/etc/apt/sources.list.d";
  const parts = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  const suite =
    /^\s*(?:deb|deb-src|suites:)\s.*?(?<=\s)(?:oldstable|stable|testing|sid|bookworm|trixie|forky)\b/im;
  return ["/etc/apt/sources.list", ...parts].some((file) => suite.test(readText(file)));
}

function readText(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function readArgs(args) {
  try {
    return parseArgs({
      args,
      options: {
        port: { type: "string", default: "8080" },
        prefix: { type: "string" },
        source: { type: "string" },
        yes: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new Failure(`${error.message}\n${HELP}`, EXIT.usage);
  }
}

async function requireFreePort(port) {
  const server = createServer();
  try {
    await new Promise((done, failed) => {
      server.once("error", failed).listen(port, "127.0.0.1", done);
    });
  } catch (error) {
    const reason = error.code === "EADDRINUSE" ? "is used by another program" : error.message;
    throw new Failure(
      `port ${port} ${reason}\n  hint: choose another one: npm run demo -- --port ${port + 1}`,
      EXIT.portOccupied,
    );
  }
  await new Promise((done) => server.close(done));
}

/** A prefix that was named is used as it is; the demo's own must be newer than the sources. */
function isUsable({ prefix, ownPrefix }) {
  const manifest = join(prefix, "nffi/nffi.json");
  if (!existsSync(manifest)) return false;
  return !ownPrefix || newest(SOURCES.map((path) => join(root, path))) < statSync(manifest).mtimeMs;
}

function newest(paths) {
  const times = paths.map((path) => {
    const stat = statSync(path);
    if (!stat.isDirectory()) return stat.mtimeMs;
    return newest(readdirSync(path).map((name) => join(path, name)));
  });
  return Math.max(0, ...times);
}

async function build({ prefix, source }) {
  await run(root, "tsc");
  const workDir = join(root, ".nffi/work");
  const args = ["--source", source, "--prefix", prefix, "--work-dir", workDir, "--keep"];
  await run(root, "nffi", "build", ...args);
}

async function makeProject({ prefix, port }) {
  if (!existsSync(join(root, "dist/cli.js"))) await run(root, "tsc");
  mkdirSync(demo, { recursive: true });
  const args = ["hello", "--overwrite", "--prefix", prefix, "--port", String(port)];
  await run(demo, "nffi", "new-runtime", ...args);
}

/** Runs a program to its end; throws unless that is exit code 0. */
async function run(cwd, name, ...args) {
  console.log(
    `\n$ ${[name, ...args].map((word) => (word.includes("?") ? `'${word}'` : word)).join(" ")}`,
  );
  const script = OURS[name];
  const [program, ...first] = script ? [process.execPath, join(root, script)] : [name];
  running = spawn(program, [...first, ...args], { cwd, stdio: ["ignore", "inherit", "inherit"] });
  const { code, error } = await new Promise((done) => {
    running.once("error", (error) => done({ error }));
    running.once("exit", (code) => done({ code }));
  });
  if (interrupted) throw new Failure("interrupted", EXIT[interrupted]);
  if (error) throw new Failure(`${name} does not start: ${error.message}`, EXIT.failed);
  const what = ["nffi", "npm"].includes(name) ? `${name} ${args[0]}` : name;
  if (code !== 0) throw new Failure(`${what} has failed, see above`, code ?? EXIT.failed);
}

function stopNginx() {
  const script = join(project, "scripts/nginx.mjs");
  if (existsSync(script)) spawnSync(process.execPath, [script, "stop"], { cwd: project });
}

function seenFromHere(path) {
  return relative(process.cwd(), path) || ".";
}
