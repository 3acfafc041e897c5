// A Node process over shared memory: nffi's addon in Node's event loop against a worker thread that
// blocks in poll and posts each task to the main thread.
//
//   node bench/node/run.mjs PREFIX [MILLISECONDS]
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const prefix = resolve(process.argv[2] ?? ".nffi/openresty");
const main = join(prefix, "nffi/node/main.js");
if (!existsSync(main)) {
  console.error(`no product of nffi in ${prefix}; name its prefix`);
  process.exit(2);
}

const run = (program, args, env = {}) => {
  const { status } = spawnSync(program, args, {
    stdio: "inherit",
    env: { ...process.env, ...env },
  });
  if (status !== 0) throw new Error(`${program} has failed`);
};

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
try {
  for (const file of ["echo.mjs", "poll.mjs"]) copyFileSync(join(here, file), join(dir, file));
  const { include_dir: headers } = createRequire(import.meta.url)("node-api-headers");
  const lib = join(prefix, "nffi/lib");
  run("cc", [
    ...["-O2", "-fPIC", "-shared", `-I${headers}`, `-I${join(prefix, "nffi/include")}`],
    ...["-o", join(dir, "poll.node"), join(here, "poll_addon.c")],
    ...[`-L${lib}`, `-Wl,-rpath,${lib}`, "-lnffi"],
  ]);
  const milliseconds = process.argv[3] ?? "500";
  run("make", ["-s", "-C", join(here, ".."), "run", `MS=${milliseconds} node`], {
    BENCH_NODE_PROGRAM: process.execPath,
    BENCH_SUPERVISOR: join(prefix, "nffi/bin/nffi-supervisor"),
    BENCH_NODE_MODULE: join(dir, "echo.mjs"),
    BENCH_NODE_ADDON: main,
    BENCH_NODE_POLL: join(dir, "poll.mjs"),
  });
} finally {
  rmSync(dir, { recursive: true, force: true });
}
