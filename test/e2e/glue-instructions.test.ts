// A budget of instructions for the worker's part of a call: the glue, the half of libnffi that runs
// in the worker, and Lua. The instructions of the runtime's thread do not count. As in
// test/c/instructions.test.ts, each compiler has its own budget.
//
// NFFI_UPDATE_BUDGETS=1 writes the measured numbers into test/c/instructions/glue-budgets.json.
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../src/io/port.js";
import { instructionsOf } from "../support/callgrind.js";
import { repository } from "../support/cli.js";
import { builtOpenresty, builtSuites, flavor } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

// Of single calls some need one more turn of the event loop, by chance.
const CASES = [
  { name: "64 B, 16 at once", together: 16 },
  { name: "64 B, 64 at once", together: 64 },
];
const CALLS = 640;
/** How much more than its budget a part may take. */
const TOLERANCE = { glue: 1.03, libnffi: 1.03, lua: 1.08 }; // LuaJIT's hash seed is random

type Part = keyof typeof TOLERANCE;
type Budget = Record<Part, number>;

const PARTS: Record<Part, (object: string, name: string) => boolean> = {
  glue: (object, name) => object.endsWith("/nginx") && /nffi|nonblocking_ffi/.test(name),
  libnffi: (object) => /\/libnffi\.so/.test(object),
  lua: (object) => /\/libluajit-/.test(object),
};

const budgetFile = join(repository, "test/c/instructions/glue-budgets.json");
const budgets: Record<string, Record<string, Budget>> = JSON.parse(
  readFileSync(budgetFile, "utf8"),
);
const gcc = spawnSync("gcc", ["-dumpfullversion"], { encoding: "utf8" }).stdout?.trim();
const compiler = `gcc ${gcc}, ${process.arch}`;
const isUpdate = process.env.NFFI_UPDATE_BUDGETS === "1";
const budget = isUpdate ? {} : budgets[compiler];
const isMeasurable =
  spawnSync("valgrind", ["--version"]).status === 0 &&
  flavor === "release" &&
  builtSuites.includes("trixie");

// Interpreted, since compiled traces differ from run to run; without spinning, which is a matter of
// time.
const CALL = `
jit.off() jit.flush()
collectgarbage("stop")
local args = ngx.req.get_uri_args()
local rt = assert(require("resty.nffi").load(args.load, { spin = 0 }))
local bytes, together = ("x"):rep(64), tonumber(args.together)
local function calls()
    for _ = 1, args.count / together do assert(rt:call(bytes)) end
end
local threads = {}
for i = 1, together do threads[i] = ngx.thread.spawn(calls) end
for i = 1, together do assert(ngx.thread.wait(threads[i])) end`;

let prefix: string;

/** Instructions of each part in the event loop's thread. */
async function counts(count: number, together: number): Promise<Budget> {
  const folder = temporaryFolder();
  const port = await freePort();
  const conf = `
    daemon off; master_process off; pid nginx.pid; error_log error.log warn;
    events {}
    http {
      access_log off;
      client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
      lua_package_path "${prefix}/lualib/?.lua;;";
      server {
        listen 127.0.0.1:${port};
        location = /ready { return 200; }
        location = / { content_by_lua_block { ${CALL} } }
      }
    }`;
  writeFileSync(join(folder, "nginx.conf"), conf);
  const profile = "--callgrind-out-file=profile";
  const nginx = spawn(
    "valgrind",
    [
      ...["-q", "--tool=callgrind", "--separate-threads=yes", profile],
      ...[
        join(prefix, "nginx/sbin/nginx"),
        "-p",
        `${folder}/`,
        "-c",
        join(folder, "nginx.conf"),
        "-e",
        "error.log",
      ],
    ],
    { cwd: folder, stdio: "inherit" },
  );
  const ended = new Promise((resolve) => nginx.once("exit", resolve));
  try {
    const load = join(prefix, "nffi/lib/libnffi_echo.so");
    await ready(`http://127.0.0.1:${port}/ready`);
    const query = new URLSearchParams({ load, count: `${count}`, together: `${together}` });
    const response = await fetch(`http://127.0.0.1:${port}/?${query}`);
    expect(response.status, readFileSync(join(folder, "error.log"), "utf8")).toBe(200);
  } finally {
    nginx.kill("SIGTERM");
    await ended;
  }
  const ofLoop = readdirSync(folder).find((name) => name === "profile-01") ?? "profile";
  const text = readFileSync(join(folder, ofLoop), "utf8");
  const part = (name: Part) => instructionsOf(text, PARTS[name]);
  return { glue: part("glue"), libnffi: part("libnffi"), lua: part("lua") };
}

async function ready(url: string): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if ((await fetch(url).catch(() => undefined))?.ok) return;
    await sleep(50);
  }
  throw new Error("nginx does not start under valgrind");
}

describe.skipIf(!isMeasurable || budget === undefined)(
  `the worker's part of a call, compiled by ${compiler}`,
  () => {
    beforeAll(async () => {
      prefix = await builtOpenresty("trixie");
    });

    test.each(CASES)(
      "$name: takes no more instructions than its budget",
      async ({ name, together }) => {
        // the difference leaves out what happens once
        const [few, many] = await Promise.all([
          counts(CALLS, together),
          counts(2 * CALLS, together),
        ]);
        const each = (part: Part) => Math.round((many[part] - few[part]) / CALLS);
        const measured: Budget = { glue: each("glue"), libnffi: each("libnffi"), lua: each("lua") };
        if (isUpdate && budget) {
          budget[name] = measured;
          const all = { ...budgets, [compiler]: budget };
          writeFileSync(budgetFile, `${JSON.stringify(all, null, 2)}\n`);
        }
        for (const part of Object.keys(measured) as Part[]) {
          expect(measured[part], part).toBeGreaterThan(100);
          const allowed = (budget?.[name]?.[part] ?? 0) * TOLERANCE[part];
          expect(measured[part], `${part} of ${JSON.stringify(measured)}`).toBeLessThanOrEqual(
            allowed,
          );
        }
      },
      60_000,
    );
  },
);
