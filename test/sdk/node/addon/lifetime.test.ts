// How a runtime's process ends, and what it says when it does.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { statOf } from "../../../support/processes.js";
import { temporaryFolder } from "../../../support/temporary.js";
import { fixture, Host, stopHosts, untilTrue } from "./host.js";

afterEach(stopHosts);

describe("the module ends the process", () => {
  test("by process.exit: the log names the code, the caller and the calls lost", async () => {
    const host = await Host.start(fixture("failing.mjs"));
    host.json("waits").catch(() => {});
    const answered = host.json("fine");
    host.json("exits").catch(() => {});
    expect(await answered).toBe("fine");
    await host.gone;
    await untilTrue(() => host.stderr.includes("ended its"));
    expect(host.stderr).toMatch(
      /^\[error] ended its process with exit code 7; calls that fail with it: 2$/m,
    );
    expect(host.stderr).toMatch(/^\[stack [0-9a-f]{8} \d+] {5}at exits \(file:.*failing\.mjs/m);
  });

  test("after it answered: the answer still arrives", async () => {
    const host = await Host.start(fixture("failing.mjs"));
    expect(await host.json("exitsAfterAnswer")).toBe("answered");
    await host.gone;
  });

  test.each([
    ["uncaught", /^\[error] uncaught: Error: out of the blue/m],
    ["unhandled", /^\[error] unhandled promise rejection: Error: nobody listens/m],
  ])("by an error that is %s", async (method, message) => {
    const host = await Host.start(fixture("failing.mjs"));
    host.json(method).catch(() => {});
    await host.gone;
    await untilTrue(() => message.test(host.stderr));
    for (const line of host.stderr.trimEnd().split("\n")) {
      expect(line).toMatch(/^\[(error|stack [0-9a-f]{8} \d+)] /);
    }
  });
});

test("an error in a tick that the module handles itself fails no call", async () => {
  const host = await Host.start(fixture("catching.mjs"));
  expect(await host.json("throwsInATick", 1)).toEqual([1, "in a tick"]);
});

describe("the worker", () => {
  test("closes while a call can never be answered: the process ends all the same", async () => {
    const host = await Host.start(fixture("failing.mjs"));
    host.json("waits").catch(() => {});
    await host.json("fine");
    host.close();
    await host.gone;
    await untilTrue(() => host.stderr.includes("closed; calls that fail with it: 1"));
  });

  test.each(["fine", "loops"])(
    "is killed while the module %s: Node exits immediately",
    async (method) => {
      const host = await Host.start(fixture("failing.mjs"));
      const pid = await host.pid;
      host.json(method).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 100));
      await host.kill();
      await untilTrue(() => (statOf(pid)?.state ?? "Z") === "Z");
    },
  );

  test("hears why a module cannot be loaded", async () => {
    const folder = temporaryFolder();
    const write = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const broken = write("broken.mjs", "export const a = 1;\nexport const b = ;\n");
    const cases: [string, RegExp][] = [
      [broken, /^\/.*broken\.mjs:2: Unexpected token ';'$/],
      [write("missing.mjs", 'import "no-such";\n'), /'no-such' imported from \/.*missing\.mjs/],
      [write("throws.mjs", 'throw new Error("at load");\n'), /^\/.*throws\.mjs: at load$/],
      [
        write("rejects.mjs", "Promise.reject(new Error('lost')); await new Promise(() => {});\n"),
        /^\/.*rejects\.mjs: unhandled promise rejection: lost$/,
      ],
      [write("exits.mjs", "process.exit(3);\n"), /exits\.mjs: ended its process with exit code 3/],
      [write("waits.mjs", "await new Promise(() => {});\n"), /can never happen/],
      [write("empty.mjs", "export const version = 1;\n"), /empty\.mjs exports no function$/],
      [write("enum.ts", "export enum A { B }\n"), /^\/[^:]*enum\.ts[^/]* TypeScript enum/],
      [write("data.json", "{}\n"), /neither JavaScript nor TypeScript/],
      [join(folder, "none.mjs"), /^\/.*none\.mjs not found$/],
      [folder, /is not a file/],
    ];
    for (const [module, message] of cases) {
      const host = new Host(module);
      expect(await host.started).toMatch(message);
      await host.gone;
    }
  });
});

test("signals that a service manager sends to the group do not end the process", async () => {
  const host = await Host.start(fixture("failing.mjs"));
  const pid = await host.pid;
  for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT"] as const) process.kill(pid, signal);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await host.json("fine")).toBe("fine");
});
