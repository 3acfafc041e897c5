// The first hour of a newcomer on a bare Debian with its own npm: every command that is printed is
// run as it is printed, as root and as a user without sudo.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CliResult } from "../support/cli.js";
import { BareRoot, type BareSuite, canEnterRoots } from "./bare-root.js";

/** Debian 13 has Node 20.19; for Debian 12 the README names a package of npm. */
const NODE = { trixie: "true", bookworm: "npm install --global node@20" } as const;

const INSTALL = /^ *(?:hint: |.*\()?((?:apt-get update && )?apt-get install [^\n()]*)/m;

function succeeded(result: CliResult): string {
  const output = result.stdout + result.stderr;
  expect(result.exitCode, output.slice(-6000)).toBe(0);
  return output;
}

/** The command among the output that installs packages. */
function installCommandIn(output: string): string {
  const command = INSTALL.exec(output)?.[1];
  if (command === undefined) throw new Error(`no command that installs in:\n${output}`);
  return command;
}

for (const suite of ["trixie", "bookworm"] satisfies BareSuite[]) {
  describe.runIf(canEnterRoots)(`a user of a bare ${suite}`, () => {
    let root: BareRoot;
    beforeAll(async () => {
      root = new BareRoot(suite, "user");
      succeeded(await root.run("root", NODE[suite]));
      await root.clone("ada");
    });
    afterAll(() => root.remove());

    test("prints what to install, without sudo, and the demo then answers", async () => {
      const refused = await root.run("ada", "cd nffi && npm run demo -- --port 8391");
      expect(refused.exitCode, refused.stdout + refused.stderr).toBe(4);
      expect(refused.stderr).toContain("nffi: install them as root and run the command again:\n");
      expect(refused.stderr).not.toContain("sudo");
      succeeded(await root.run("root", `yes | (${installCommandIn(refused.stderr)})`));
      const demo = succeeded(await root.run("ada", "cd nffi && npm run demo -- --port 8391"));
      expect(demo).toContain("/hello?name=World'\nhello World\n");
      const again = succeeded(await root.run("ada", "cd nffi && npm run demo -- --port 8391"));
      expect(again).toContain("using the OpenResty in .nffi/openresty");
    });
  });

  describe.runIf(canEnterRoots)(`root of a bare ${suite}`, () => {
    let root: BareRoot;
    let nffi = "";
    beforeAll(async () => {
      root = new BareRoot(suite, "root");
      succeeded(await root.run("root", NODE[suite]));
      await root.clone("root");
    });
    afterAll(() => root.remove());

    const inWork = (script: string) => root.run("root", `mkdir -p work && cd work && ${script}`);

    test("packs nffi, prints once what a build needs, and builds", async () => {
      const pack = "cd nffi && npm ci --ignore-scripts && npm pack";
      succeeded(await root.run("root", pack));
      const build = "npx --yes --package ../nffi/nffi-0.1.0.tgz nffi build --source debian";
      const refused = await inWork(build);
      expect(refused.exitCode, refused.stdout + refused.stderr).toBe(4);
      expect(refused.stderr).toContain("the C compiler cc");
      expect(refused.stderr).toContain("the header pcre2.h");
      succeeded(await root.run("root", `yes | (${installCommandIn(refused.stderr)})`));
      const built = succeeded(await inWork(build));
      const next = /^next: (.*) new-runtime NAME$/m.exec(built)?.[1];
      expect(next).toBe("npx --yes --package /root/nffi/nffi-0.1.0.tgz nffi");
      nffi = next ?? "";
      expect(succeeded(await inWork(`${nffi} build --source debian`))).toContain(
        "nothing has changed",
      );
      expect(succeeded(await inWork(`${nffi} verify`))).toContain("(the default directory)");
      succeeded(await root.run("root", "apt-get install -y --no-install-recommends curl"));
    });

    /** Makes a project and runs all that is printed below "next:". */
    async function followNext(lang: string): Promise<string> {
      const name = `hello-${lang}`;
      const made = succeeded(
        await inWork(`${nffi} new-runtime ${name} --lang ${lang} --port 8392`),
      );
      expect(made).toContain("using Debian trixie (nginx 1.26.3, ngx_lua 0.10.28) in /root/work/");
      const [, next = ""] = made.split("next:\n");
      return succeeded(await inWork(`set -e; ${next.trim().replaceAll("\n", "; ")}`));
    }

    test.each([
      ["typescript", "true"],
      ["python", "apt-get install -y --no-install-recommends python3"],
      // what its Makefile names when they are missing
      ["c", "apt-get install -y --no-install-recommends pkg-config libjansson-dev"],
      ["go", "apt-get install -y --no-install-recommends golang-go"],
    ])("makes a project in %s that answers after the printed lines", async (lang, install) => {
      succeeded(await root.run("root", install));
      expect(await followNext(lang)).toContain("hello World\n");
    });

    test("is led from a product without Java to a project in Java", async () => {
      const refused = await inWork(`${nffi} new-runtime hello-java --lang java`);
      expect(refused.exitCode).toBe(15);
      expect(refused.stderr).toContain("was made without Java: no JDK");
      succeeded(await root.run("root", `yes | (${installCommandIn(refused.stderr)})`));
      const again = /then run `(.*)`/.exec(refused.stderr)?.[1] ?? "";
      expect(succeeded(await inWork(again))).toContain("built Debian");
      succeeded(await root.run("root", "apt-get install -y --no-install-recommends maven"));
      expect(await followNext("java")).toContain("hello World\n");
    });

    // The Rust of Debian 12 is too old for the crates of the template.
    test.runIf(suite === "trixie")("makes a project in Rust that answers", async () => {
      succeeded(await root.run("root", "apt-get install -y --no-install-recommends cargo"));
      expect(await followNext("rust")).toContain("hello World\n");
    });
  });
}
