// All traps that have hurt implementations like this one, each with the test that springs it. A
// title that is not found in its file fails here, so that a reader finds every one. Traps that need
// only a look at the sources are tested below.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { packagesForOpenresty } from "../../src/host/toolchain.js";
import { repository } from "../support/cli.js";

const BUILD = "test/unit/pipeline";
const WORKER = "test/e2e/traps-worker.test.ts";
const DATA = "test/e2e/traps-data.test.ts";
const NODE = "test/sdk/node/calls.test.ts";
const HERE = "test/unit/traps.test.ts";

const TRAPS: readonly (readonly [trap: string, file: string, title: string])[] = [
  [
    "the thread-pool patch applies a second time without complaint",
    `${BUILD}/patches.test.ts`,
    "recognises a patch that is already applied, although it could be applied again",
  ],
  [
    "a tree that was patched and then changed is patched again",
    `${BUILD}/steps/patch.test.ts`,
    "does not patch a second time what was changed after it was patched",
  ],
  [
    "bundle/nginx-* also matches nginx-no_pool.patch",
    `${BUILD}/components.test.ts`,
    "does not take the file nginx-VERSION-no_pool.patch for nginx",
  ],
  [
    "component versions such as 0.10.30rc2",
    `${BUILD}/components.test.ts`,
    "finds components by name, whatever their version looks like",
  ],
  ["patching after configure changes nothing", HERE, "patches come before configure"],
  ["1.21.4.1 needs PCRE1", HERE, "an old ngx_lua needs PCRE1, a new one PCRE2"],
  [
    "Lua files outside of lua-resty-core's lib/resty/core are not installed",
    HERE,
    "the core file lies where lua-resty-core's Makefile takes it from",
  ],
  [
    "a cdef of http in a stream VM stops nginx, while nginx -t says ok",
    WORKER,
    "lua-resty-core loads our Lua in http only",
  ],
  [
    "graceful exit waits only for timers that are not cancelable",
    WORKER,
    "a worker that leaves by %s answers what is in flight, though nothing but our timer keeps it",
  ],
  [
    "a timer that nobody cancels keeps a worker for ever",
    WORKER,
    "a worker without calls exits immediately: an idle runtime does not keep it",
  ],
  [
    "a silent runtime keeps old workers for ever",
    NODE,
    "a silent runtime keeps a leaving worker no longer than worker_shutdown_timeout",
  ],
  [
    "a Lua VM that closes unmaps libraries under their threads",
    WORKER,
    "a library stays mapped when it is unloaded and when its Lua VM closes",
  ],
  [
    "threads run on while the process ends",
    WORKER,
    "threads that run when the worker ends do not crash it",
  ],
  [
    "lua_code_cache off makes a VM for each request",
    WORKER,
    "with lua_code_cache off a VM for each request calls, waits and goes while others wait",
  ],
  [
    "master_process off has no worker process",
    WORKER,
    "master_process off: one process is master and worker, and calls",
  ],
  ["several workers share nothing", WORKER, "several workers have separate runtimes"],
  [
    "helper processes have no done queue",
    WORKER,
    "helpers (cache manager and loader) are not affected, and none loads a runtime",
  ],
  [
    "the privileged agent is no worker",
    WORKER,
    "the privileged agent loads and calls, where the build has one",
  ],
  [
    "a phase is checked after the task was posted",
    WORKER,
    "a call that its phase refuses has posted nothing",
  ],
  [
    "a refused post leaves a clean-up handler behind",
    WORKER,
    "a refused call leaves no clean-up handler behind to hit another one",
  ],
  [
    "runtime threads inherit the signal mask",
    WORKER,
    "threads of a runtime block no signal, which programs would inherit",
  ],
  [
    "a runtime takes SIGCHLD and others, so that os.execute and reload misbehave",
    WORKER,
    "signals that a library takes while it starts are restored",
  ],
  [
    "a runtime's start blocks the worker",
    WORKER,
    "the start of a runtime does not hold up the worker",
  ],
  [
    "answers come twice, or with a pointer that is no task",
    WORKER,
    "answering twice, or with a pointer that is no task, is survived, counted and logged once",
  ],
  [
    "a wake-up that is posted twice makes the done queue a ring",
    "test/model/wake.test.ts",
    "a task is twice on nginx's done queue",
  ],
  [
    "method names collide with fields of a table",
    DATA,
    "names of methods collide with nothing in Lua or JavaScript",
  ],
  [
    "payloads are no strings",
    DATA,
    "payloads that are no strings: numbers go, the rest is the caller's mistake",
  ],
  ["configurations hold NUL bytes", DATA, "a configuration with NUL bytes arrives whole"],
  ["payloads and answers are empty, binary or large", DATA, "a payload and its answer: %s"],
  [
    "a request of HTTP/2 has no connection of its own",
    DATA,
    "HTTP/2: a stream that is reset ends its call and no other",
  ],
  ["poll and select have no notify", "test/e2e/engine-errors.test.ts", "wrong_event_method"],
  [
    "a TLS handshake that cannot wait",
    "test/e2e/engine-tls.test.ts",
    "ssl_client_hello_by_lua, ssl_session_fetch_by_lua and ssl_session_store_by_lua wait or refuse a call",
  ],
  [
    "a C function between the coroutine and its yield",
    "test/e2e/engine-misuse.test.ts",
    "a call below a C function is refused, and answers nothing else later",
  ],
  [
    "exit in user code ends the worker",
    NODE,
    "process.exit fails what waits with the reason, and the process starts again",
  ],
  [
    "busy JavaScript outlives its worker",
    NODE,
    "a worker killed with SIGKILL takes its process along, even one in an endless loop",
  ],
  [
    "the child holds sockets of nginx",
    NODE,
    "the process holds no descriptor of nginx but its own",
  ],
  [
    "nginx empties the environment, and runs as another user",
    NODE,
    "works in a worker of the user nobody, whose environment nginx has emptied",
  ],
  ["ffi.copy(buf, str) also writes a NUL", HERE, "ffi.copy() is always given the length"],
];

const read = (path: string) => readFileSync(join(repository, path), "utf8");

test.each(TRAPS)("%s: sprung by %s", (_, file, title) => {
  expect(read(file)).toContain(title);
});

describe("traps that show in the sources", () => {
  test("patches come before configure", () => {
    const steps = [...read("src/pipeline/pipeline.ts").matchAll(/step\("([a-z -]+)"/g)].map(
      ([, name]) => name,
    );
    expect(steps.indexOf("patch")).toBeGreaterThan(-1);
    expect(steps.indexOf("patch")).toBeLessThan(steps.indexOf("configure"));
  });

  test("an old ngx_lua needs PCRE1, a new one PCRE2", () => {
    const packages = (pcre: 1 | 2) => JSON.stringify(packagesForOpenresty(pcre));
    expect(packages(1)).toContain("libpcre3-dev");
    expect(packages(1)).not.toContain("libpcre2-dev");
    expect(packages(2)).toContain("libpcre2-dev");
  });

  test("the core file lies where lua-resty-core's Makefile takes it from", () => {
    expect(read("src/pipeline/steps/install-files.ts")).toContain(
      '"lua-resty-core", "lib/resty/core"',
    );
  });

  test("ffi.copy() is always given the length", () => {
    const files = readdirSync(join(repository, "lua"), { recursive: true, encoding: "utf8" });
    const lua = files.filter((name) => name.endsWith(".lua"));
    expect(lua.length).toBeGreaterThan(3);
    for (const name of lua) {
      const calls = read(`lua/${name}`).match(/\b(?:ffi\.copy|ffi_copy)\(([^()]*)\)/g) ?? [];
      for (const call of calls) expect(call.split(",").length, `${name}: ${call}`).toBe(3);
    }
  });
});
