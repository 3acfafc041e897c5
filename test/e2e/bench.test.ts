// `nffi bench` on a real nginx: the figures are present and plausible; their size is not tested.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import type { Report } from "../../src/bench/report.js";
import { runCli } from "../support/cli.js";
import { builtOpenresty } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

const QUICK = ["--rounds", "1", "--ms", "30", "--cpus", "all"];
let prefix = "";

beforeAll(async () => {
  prefix = await builtOpenresty();
});

const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith("nffi-bench-"));

test("measures each way to call, and writes a table, JSON and HTML", async () => {
  const folder = temporaryFolder();
  const [json, html] = [join(folder, "report.json"), join(folder, "report.html")];
  const before = leftovers();
  const result = await runCli([
    ...["bench", prefix, "--against", prefix, ...QUICK],
    ...["--lang", "c", "typescript", "python", "lua"],
    ...["--sizes", "512,100k", "--together", "1,40", "--json", json, "--html", html],
  ]);
  expect(result.stderr).toBe("");
  expect(leftovers()).toEqual(before);

  const report: Report = JSON.parse(readFileSync(json, "utf8"));
  expect(report.settings.map(({ cpus, size, together }) => [cpus, size, together])).toEqual([
    ["all", 512, 1],
    ["all", 512, 40],
    ["all", 102400, 1],
    ["all", 102400, 40],
  ]);
  const names = [
    ...["nffi, C", "cosocket, C", "second nffi built, C"],
    ...["nffi, TypeScript", "cosocket, TypeScript", "proxy_pass, TypeScript"],
    ...["second nffi built, TypeScript", "nffi, Python", "nffi, Python, in the worker"],
    ...["cosocket, Python", "proxy_pass, Python", "second nffi built, Python"],
    ...["second nffi built, Python, in the worker", "run_worker_thread, Lua"],
  ];
  for (const { together, results } of report.settings) {
    const floor = together === 1 ? ["floor: futex and eventfd"] : [];
    expect(results.map(({ name }) => name)).toEqual([...floor, ...names]);
    for (const { name, way, callsPerSecond, p50, p99, p999, cpu, switches } of results) {
      expect(callsPerSecond, name).toBeGreaterThan(1);
      expect(p50, name).toBeGreaterThan(0);
      expect(p99, name).toBeGreaterThanOrEqual(p50);
      expect(p999, name).toBeGreaterThanOrEqual(p99);
      if (way === "floor") continue;
      expect(cpu, name).toBeGreaterThan(0);
      expect(switches, name).toBeGreaterThanOrEqual(0);
      expect(result.stdout).toContain(`  ${name} `);
    }
  }
  const memory = new Map(report.memory.map(({ name, bytes }) => [name, bytes]));
  expect(memory.get("nffi, TypeScript")).toBeGreaterThan(5e6);
  expect(memory.get("cosocket, C")).toBeGreaterThan(1e4);
  expect(readFileSync(html, "utf8")).toContain("<h2>100 KB, 40 calls in flight, all CPUs</h2>");
});

test("leaves out what this machine does not have, with the reason", async () => {
  const result = await runCli(
    ["bench", prefix, ...QUICK, "--sizes", "64", "--together", "1", "--cpus", "one,all", "--json"],
    { env: { PATH: temporaryFolder(), CC: "" } },
  );
  expect(result.stderr).toBe("");
  const { leftOut, settings }: Report = JSON.parse(result.stdout);
  expect(leftOut).toContainEqual({ name: "go", reason: "no go in PATH" });
  expect(leftOut).toContainEqual({ name: "rust", reason: "no cargo in PATH" });
  expect(leftOut).toContainEqual({ name: "python", reason: "no python3 in PATH" });
  expect(leftOut).toContainEqual({ name: "one CPU", reason: "no taskset in PATH" });
  const measured = settings.map(({ cpus, results }) => [cpus, results.map(({ name }) => name)]);
  const typescript = ["nffi, TypeScript", "cosocket, TypeScript", "proxy_pass, TypeScript"];
  expect(measured).toEqual([["all", ["nffi, C", ...typescript, "run_worker_thread, Lua"]]]);
});

test("does not take nffi's own ngx.load_ffi for that of lua-resty-ffi", async () => {
  const nginx = join(prefix, "nginx/sbin/nginx");
  const theirs = ["--resty-ffi", join(prefix, "lualib"), "--resty-ffi-nginx", nginx];
  const result = await runCli([
    ...["bench", prefix, ...QUICK, "--lang", "c", "--sizes", "64", "--together", "1", "--json"],
    ...theirs,
  ]);
  expect(result.stderr).toBe("");
  const { leftOut, settings }: Report = JSON.parse(result.stdout);
  const reason = expect.stringContaining("this nginx has ngx.load_ffi() of nffi");
  expect(leftOut).toContainEqual({ name: "lua-resty-ffi, C", reason });
  // the same library, loaded by nffi
  expect(settings[0]?.results.map(({ name }) => name)).toContain("nffi, C, load_ffi");
});

test.each([
  [["--resty-ffi", "/nowhere"], "--resty-ffi /nowhere: no resty_ffi.lua in it", "/nowhere/lualib"],
  [["--lang", "cobol"], "--lang cobol: no such language", "c, go, rust"],
  [["--sizes", "0"], `--sizes 0: "0" is not what it takes`, "1 to 16777216 bytes"],
  [["--sizes", "512,17m"], `--sizes 512,17m: "17m"`, "such as 512 or 100k"],
  [["--together", "x"], `--together x: "x"`, "1 to 1024"],
  [["--cpus", "two"], `--cpus two: "two"`, "one, all or one,all"],
  [["--rounds", ""], "--rounds is empty", "give it a value"],
])("%j is refused before anything starts", async (options, message, hint) => {
  const result = await runCli(["bench", prefix, ...options]);
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toContain(message);
  expect(result.stderr).toContain(hint);
  expect(result.stdout).toBe("");
});

test("--against names a product", async () => {
  const result = await runCli(["bench", prefix, "--against", "/nowhere"]);
  expect(result.exitCode).toBe(15);
  expect(result.stderr).toContain("no product of nffi in /nowhere");
});

test("a signal ends it, and it leaves no process and no directory", async () => {
  const script = `"$@" & child=$!; sleep 3; kill -TERM $child; wait $child; echo "exit $?"`;
  const command = [process.execPath, "bin/nffi.mjs", "bench", prefix, "--lang", "typescript"];
  const before = leftovers();
  const output = execFileSync("bash", ["-c", script, "bash", ...command], { encoding: "utf8" });
  expect(output).toContain("exit 143");
  expect(leftovers()).toEqual(before);
});
