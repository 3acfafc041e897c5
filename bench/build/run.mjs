// The time that `nffi build` adds to the programs that it runs. A script that builds by hand needs
// the time of configure, make and make install as well. The rest is ours: it resolves, downloads,
// verifies, extracts, patches, proves and installs.
//
//   node bench/build/run.mjs [options of nffi build]
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const OF_PROGRAMS = new Set(["library", "configure", "make", "make install"]);
const nffi = join(dirname(fileURLToPath(import.meta.url)), "../../bin/nffi.mjs");
const dir = mkdtempSync(join(tmpdir(), "nffi-bench-build-"));
try {
  const prefix = ["--prefix", join(dir, "product")];
  const options = [nffi, "build", ...prefix, "--json", ...process.argv.slice(2)];
  const before = performance.now();
  const child = spawn(process.execPath, options, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((done) => child.once("close", done));
  const steps = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    if (event.event === "step-finished") steps.push(event);
  }
  const code = await ended;
  if (code !== 0) process.exit(code ?? 1);
  report(steps, (performance.now() - before) / 1000);
} finally {
  rmSync(dir, { recursive: true, force: true });
}

function report(steps, total) {
  for (const { step, durationMs } of steps) {
    const mark = OF_PROGRAMS.has(step) ? "" : "  *";
    console.log(`${step.padEnd(16)} ${(durationMs / 1000).toFixed(2).padStart(8)} s${mark}`);
  }
  const programs = steps
    .filter(({ step }) => OF_PROGRAMS.has(step))
    .reduce((sum, { durationMs }) => sum + durationMs / 1000, 0);
  const bound = programs * 0.05 + 2;
  console.log(
    `${total.toFixed(1)} s; the programs alone ${programs.toFixed(1)} s; the rest ` +
      `${(total - programs).toFixed(1)} s, of at most ${bound.toFixed(1)} s (5 % + 2 s)`,
  );
}
