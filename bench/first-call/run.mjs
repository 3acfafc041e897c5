// The time from nffi.load() to the first response of a new process, relative to a bare interpreter
// or JVM that loads the same module and ends. They alternate; medians.
//
//   node bench/first-call/run.mjs PREFIX [ROUNDS]
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "../free-port.mjs";
import { productPrefix, startNginx } from "../product.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const handlers = join(here, "../compare");
const prefix = productPrefix();
const rounds = Number(process.argv[3] ?? 15);

const dir = mkdtempSync(join(tmpdir(), "nffi-first-"));
try {
  const languages = [node(), python(), java()].filter(Boolean);
  const nginx = await start();
  try {
    for (const language of languages) await measure(nginx, language);
  } finally {
    await nginx.stop();
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}

function node() {
  const module = join(handlers, "node/echo.mjs");
  return { load: "node", options: { module }, bare: [process.execPath, module] };
}

function python() {
  // not the shim of pyenv
  const found = spawnSync("python3", ["-c", "import sys; print(sys.executable)"]);
  const interpreter = String(found.stdout).trim();
  if (found.status !== 0) return undefined;
  const module = join(handlers, "python/echo.py");
  const options = { module, codec: "raw" };
  return { load: "python", options, bare: [interpreter, "-B", module] };
}

function java() {
  const jar = join(prefix, "nffi/java/nffi.jar");
  const sources = [join(handlers, "java/Echo.java"), join(here, "Bare.java")];
  if (!existsSync(jar)) return undefined;
  if (spawnSync("javac", ["-cp", jar, "-d", dir, ...sources]).status !== 0) return undefined;
  const options = { module: "Echo", classpath: dir };
  return { load: "java", options, bare: ["java", "-cp", `${dir}:${jar}`, "Bare", "Echo"] };
}

async function measure(nginx, { load, options, bare }) {
  const bareTimes = [];
  const times = [];
  for (let round = 0; round <= rounds; round++) {
    const before = performance.now();
    const ran = spawnSync(bare[0], bare.slice(1), { encoding: "utf8" });
    const after = performance.now();
    if (ran.status !== 0) throw new Error(ran.stderr);
    const ms = await nginx.ask({ load, options: JSON.stringify(options) });
    if (round === 0) continue; // files are in the page cache from now on
    bareTimes.push(after - before);
    times.push(ms);
  }
  const ratio = median(times.map((ms, round) => ms / bareTimes[round]));
  const shown = [median(bareTimes), median(times)].map((ms) => `${ms.toFixed(0)} ms`);
  console.log(
    `${load.padEnd(8)} bare ${shown[0].padStart(7)}   first call ${shown[1].padStart(7)}   ${ratio.toFixed(2)}`,
  );
}

async function start() {
  const port = await freePort();
  const nginx = startNginx({ prefix, dir, conf: configuration(port) });
  const get = async (query) => {
    const response = await fetch(`http://127.0.0.1:${port}/?${new URLSearchParams(query)}`);
    if (!response.ok) throw new Error(readFileSync(join(dir, "logs/error.log"), "utf8"));
    return Number(await response.text());
  };
  for (let i = 0; i < 200; i++) {
    if ((await get({ ready: 1 }).catch(() => undefined)) !== undefined) break;
    await sleep(25);
  }
  return { ask: get, stop: nginx.stop };
}

function configuration(port) {
  return `
daemon off;
${process.getuid() === 0 ? "user root;" : ""}
worker_processes 1;
pid logs/nginx.pid;
error_log logs/error.log warn;
env PATH;
events {}
http {
    access_log off;
    lua_package_path "${prefix}/lualib/?.lua;;";
    server {
        listen 127.0.0.1:${port};
        location = / {
            content_by_lua_block {
                local args = ngx.req.get_uri_args()
                if args.ready then return ngx.print(0) end
                local nffi = require "resty.nffi"
                local options = require("resty.nffi.json_decode").decode(args.options)
                ngx.update_time()
                local start = ngx.now()
                local runtime = assert(nffi.load(args.load, options))
                assert(runtime:call("x") == "x")
                ngx.update_time()
                ngx.print((ngx.now() - start) * 1000)
                runtime:close()
                ngx.sleep(0.3)
            }
        }
    }
}
`;
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[(numbers.length - 1) >> 1];
}
