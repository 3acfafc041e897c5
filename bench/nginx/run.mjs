// Calls from Lua in a real worker: a runtime of nffi against the same work behind a unix socket,
// one call after another, at 512 B and 100 KB, pinned to one CPU and on two.
//
//   node bench/nginx/run.mjs PREFIX [CALLS]
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildGo } from "./go.mjs";
import { startWorker, stopAll } from "./worker.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const prefix = resolve(process.argv[2] ?? ".nffi/openresty");
const calls = Number(process.argv[3] ?? 20000);
const library = join(prefix, "nffi/lib/libnffi_echo.so");
if (!existsSync(library)) {
  console.error(`no product of nffi in ${prefix}; name its prefix`);
  process.exit(2);
}

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
const socket = (name) => join(dir, `${name}.sock`);
try {
  copyFileSync(join(here, "echo.mjs"), join(dir, "echo.mjs"));
  const compiled = spawnSync("cc", ["-O2", "-o", join(dir, "server"), join(here, "echo_server.c")]);
  if (compiled.status !== 0) throw new Error(String(compiled.stderr));
  const go = buildGo(dir, prefix);
  for (const pinned of [true, false]) {
    for (const size of [512, 102400]) await compare(size, pinned, go);
  }
} finally {
  stopAll();
  rmSync(dir, { recursive: true, force: true });
}

async function compare(size, pinned, go) {
  const programs = [
    [join(dir, "server"), socket("c"), String(size)],
    ...(go ? [[go.program, socket("go"), String(size)]] : []),
    [process.execPath, join(dir, "echo.mjs"), socket("node"), String(size)],
  ];
  const sockets = ["c", ...(go ? ["go"] : []), "node"].map(socket);
  const worker = await startWorker({ prefix, dir, pinned, programs, sockets });
  const count = size > 10000 ? calls / 4 : calls;
  const ask = (query) => worker.ask({ size, count, ...query });
  const node = { module: "echo.mjs", affinity: pinned ? "inherit" : "all" };
  const rows = {
    "C library": await ask({ load: library }),
    "C behind a socket": await ask({ socket: socket("c") }),
    ...(go && {
      "Go library": await ask({ load: go.library }),
      "Go library, inline": await ask({ load: go.library, method: "inline" }),
      "Go behind a socket": await ask({ socket: socket("go") }),
    }),
    "Node process": await ask({ load: "node", options: JSON.stringify(node) }),
    "Node behind a socket": await ask({ socket: socket("node") }),
  };
  await worker.stop();
  console.log(`${size} B, ${pinned ? "one CPU" : "two CPUs"}`);
  for (const [name, rate] of Object.entries(rows)) {
    console.log(`  ${name.padEnd(22)} ${(1e6 / rate).toFixed(1).padStart(7)} us a call`);
  }
  const ratio = (a, b) => (rows[a] / rows[b]).toFixed(1);
  console.log(`  nffi is ${ratio("C library", "C behind a socket")} times as fast in C`);
  if (go) {
    console.log(`  nffi is ${ratio("Go library", "Go behind a socket")} times as fast in Go`);
    console.log(`  nffi is ${ratio("Go library, inline", "Go behind a socket")} times, inline`);
  }
  console.log(`  nffi is ${ratio("Node process", "Node behind a socket")} times as fast in Node`);
}
