// `nffi attach --compile` on Debian's own nginx, with the headers of its package nginx-dev.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXIT_CODES } from "../../src/errors.js";
import {
  type AttachedLanguage,
  answersOf,
  buildRuntimes,
  runtimesOf,
} from "../support/attached-languages.js";
import type { CliResult } from "../support/cli.js";
import {
  canEnterDebian,
  DebianMachine,
  debianHeaders,
  debianNginx,
} from "../support/debian-nginx.js";

const LANGUAGES: readonly AttachedLanguage[] = ["c", "go", "rust", "java", "python", "node"];

function succeeded(result: CliResult): string {
  expect(result.exitCode, result.stdout + result.stderr).toBe(0);
  return result.stdout;
}

describe.runIf(canEnterDebian)("nffi attach --compile with Debian's nginx-dev", () => {
  let machine: DebianMachine;

  beforeAll(async () => {
    machine = await DebianMachine.start([debianNginx(), debianHeaders()]);
  });
  afterAll(() => machine?.remove());

  test("compiles, proves itself, and answers from all languages", async () => {
    const conf = "--write-conf /etc/nginx/conf.d/nffi.conf";
    const shown = succeeded(await machine.nffi(`attach --compile --json ${conf}`));
    expect(JSON.parse(shown)).toMatchObject({ installed: true, glue: "compiled", warnings: [] });
    succeeded(await buildRuntimes(machine, LANGUAGES));
    const runtimes = runtimesOf(LANGUAGES);
    expect(await answersOf(machine, runtimes)).toEqual(
      Object.fromEntries(runtimes.map((name) => [name, `from ${name}`])),
    );
  });

  test("nothing of the compilation remains", async () => {
    const left = await machine.run(
      "find /tmp -mindepth 1 -name '*nffi*' ! -path '/tmp/state/*'; ls -a /usr/local/nffi",
    );
    expect(
      succeeded(left)
        .split("\n")
        .filter((name) => name.startsWith("/tmp")),
    ).toEqual([]);
    expect(left.stdout).not.toContain(".nffi-attach-");
  });

  test("without nginx-dev, the hint names it, and what is installed stays", async () => {
    const before = succeeded(await machine.run("find /usr/local/nffi | sort"));
    succeeded(await machine.run("rm -r /usr/share/nginx/src"));
    const refused = await machine.nffi("attach --compile");
    expect(refused.exitCode).toBe(EXIT_CODES["toolchain-missing"]);
    expect(refused.stderr).toMatch(/no headers for nginx .*\n.*apt-get install .*nginx-dev/);
    expect(succeeded(await machine.run("find /usr/local/nffi | sort"))).toBe(before);
  });
});
