import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run, start } from "../../../src/io/exec.js";
import { statOf, stillThereAfter } from "../../support/processes.js";
import { temporaryFolder } from "../../support/temporary.js";

const env = { PATH: process.env.PATH ?? "" };
const shell = (script: string) => ({ program: "sh", args: ["-c", script], env });

test("returns exit code and output of a program that fails", async () => {
  const completed = await run(shell("echo out; echo err >&2; exit 3"));
  expect(completed).toMatchObject({ exitCode: 3, stdout: "out\n", stderr: "err\n" });
});

test("reports that a program cannot be started", async () => {
  const completed = await run({ program: "/nonexistent/program", args: [], env });
  expect(completed).toMatchObject({ exitCode: undefined, startError: "ENOENT" });
});

test("passes output on while the program runs", async () => {
  let output = "";
  await run(shell("echo one; echo two >&2"), {
    onOutput: (text) => {
      output += text;
    },
  });
  expect(output.split("\n").sort()).toEqual(["", "one", "two"]);
});

test("an abort ends the program with everything it has started", async () => {
  const folder = temporaryFolder();
  const pidFile = join(folder, "pid");
  const abort = new AbortController();
  const reason = new Error("enough");
  const running = run(
    shell(`sleep 600 & echo $! > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; wait`),
    {
      signal: abort.signal,
    },
  );
  while (!existsSync(pidFile)) await new Promise((resolve) => setTimeout(resolve, 10));
  const grandchild = statOf(Number(readFileSync(pidFile, "utf8")));
  if (!grandchild) throw new Error("sleep was not started");
  abort.abort(reason);
  await expect(running).rejects.toBe(reason);
  expect(await stillThereAfter([grandchild], 5_000)).toEqual([]);
});

test("a program that ignores SIGTERM is killed", async () => {
  const completed = await run(shell("trap '' TERM; while :; do sleep 0.1; done"), {
    timeoutMs: 200,
  });
  expect(completed).toMatchObject({ timedOut: true, signal: "SIGKILL" });
});

test("a started program runs until it is stopped", async () => {
  const log = join(temporaryFolder(), "log");
  const program = await start(shell("echo ready; exec sleep 600"), log);
  while (!existsSync(log) || readFileSync(log, "utf8") !== "ready\n") {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(program.ended()).toBeUndefined();
  await program.stop();
  expect(program.ended()).toBe("SIGTERM");
});
