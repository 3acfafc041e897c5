// `make dev` of a generated project, as its user works with it: compile errors are reported and do
// no harm, the next version responds, Ctrl-C ends everything.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { freePort } from "../../src/io/port.js";
import { until } from "./nginx.js";

export interface DevSession {
  readonly project: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The file with the greeting, by its path in the project. */
  readonly source: string;
  /** A replacement that breaks the compilation, and the compiler's message. */
  readonly broken: readonly [from: string, to: string];
  readonly complaint: RegExp;
  /** The same for a greeting "hello, dear NAME". */
  readonly changed: readonly [from: string, to: string];
}

/** The file is as it was when the test has ended. */
export async function expectMakeDev(session: DevSession): Promise<void> {
  const { project, env } = session;
  const port = await freePort();
  // its own group: Ctrl-C goes to make and to what it runs
  const dev = spawn("make", ["dev", `PORT=${port}`], {
    cwd: project,
    env: { ...process.env, ...env } as NodeJS.ProcessEnv,
    detached: true,
  });
  const pid = dev.pid ?? 0;
  onTestFinished(() => {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // it has ended, as it should
    }
  });
  const ended = new Promise((done) => dev.once("close", done));
  let output = "";
  for (const stream of [dev.stdout, dev.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const shown = () => output;
  await until(() => /listens on .*watching for changes/s.test(output), 60_000, shown);
  const address = `http://127.0.0.1:${port}`;
  // a connection each: a worker that a reload ends may close one that is kept as it is used again
  const headers = { connection: "close" };
  const greeting = async () => (await fetch(`${address}/hello?name=dev`, { headers })).text();
  expect(await greeting()).toBe("hello dev\n");

  const file = join(project, session.source);
  const text = readFileSync(file, "utf8");
  onTestFinished(() => writeFileSync(file, text));
  const write = ([from, to]: DevSession["broken"]) => {
    expect(text).toContain(from);
    writeFileSync(file, text.replace(from, to));
  };
  write(session.broken);
  await until(() => session.complaint.test(output), 60_000, shown);
  expect(await greeting(), output).toBe("hello dev\n");
  write(session.changed);
  await until(async () => (await greeting()) === "hello, dear dev\n", 60_000, shown);
  process.kill(-pid, "SIGINT");
  await ended;
  expect(output).toContain("nginx has stopped");
  await expect(fetch(`${address}/hello`)).rejects.toThrow();
}
