// The six languages on Debian's own nginx with the product of `nffi attach`, and that this product
// has every file that a built one has.
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  APP,
  type AttachedLanguage,
  answersOf,
  buildRuntimes,
  runtimesOf,
} from "../support/attached-languages.js";
import type { CliResult } from "../support/cli.js";
import { canEnterDebian, DebianMachine } from "../support/debian-nginx.js";
import { builtOpenresty } from "../support/openresty.js";
import { prebuiltFiles } from "../support/prebuilt.js";

const LANGUAGES: readonly AttachedLanguage[] = ["c", "go", "rust", "java", "python", "node"];
const PREFIX = "/usr/local/nffi";

function succeeded(result: CliResult): string {
  expect(result.exitCode, result.stdout + result.stderr).toBe(0);
  return result.stdout;
}

describe.runIf(canEnterDebian)("Debian's nginx with nffi attached", () => {
  let machine: DebianMachine;

  beforeAll(async () => {
    await prebuiltFiles();
    machine = await DebianMachine.start();
    succeeded(await machine.nffi("attach --write-conf /etc/nginx/conf.d/nffi.conf"));
    succeeded(await buildRuntimes(machine, LANGUAGES));
  });
  afterAll(() => machine?.remove());

  test("answers from C, Go, Rust, Java and Python in the worker and in processes, and from TypeScript", async () => {
    const runtimes = runtimesOf(LANGUAGES);
    expect(runtimes).toHaveLength(11);
    expect(await answersOf(machine, runtimes)).toEqual(
      Object.fromEntries(runtimes.map((name) => [name, `from ${name}`])),
    );
  });

  test("a copy of the jars, such as Maven's, finds the libraries of the prefix", async () => {
    const shown = await machine.run(`set -e
mkdir ${APP}/copy && cd ${APP}/copy
cp ${PREFIX}/nffi/java/*.jar .
cat > Copy.java <<'END'
public class Copy {
    public static void main(String[] args) throws Exception {
        try (var runtime = nffi.testing.TestRuntime.load("languages.App")) {
            System.out.println(new String(runtime.call("echo", "\\"copied\\"".getBytes())));
        }
    }
}
END
javac -cp nffi.jar:nffi-testing.jar Copy.java
java -Xmx64m -XX:+UseSerialGC -cp .:nffi.jar:nffi-testing.jar:../java/classes Copy`);
    expect(succeeded(shown)).toBe('"copied"\n');
  });

  test("attached again, the jars have the same bytes, so Maven keeps what it has", async () => {
    const hashes = `cd ${PREFIX}/nffi/java && find . ! -type d | sort && sha256sum *.jar`;
    const before = succeeded(await machine.run(hashes));
    succeeded(await machine.nffi("attach"));
    expect(succeeded(await machine.run(hashes))).toBe(before);
  });

  test("the product has the files of a built one", async () => {
    const list = `find nffi lualib/resty/nffi lualib/resty/nffi.lua lualib/resty_ffi.lua lualib/resty/core/nonblocking_ffi.lua ! -type d ! -name '*.pyc'`;
    const names = (text: string) =>
      text
        .trim()
        .split("\n")
        // the build number in Maven's names is made of the content
        .map((name) => name.replace(/(0-20000101\.000000)-\d+/, "$1-N"))
        .sort();
    const built = await builtOpenresty();
    const ofBuilt = names(execFileSync("sh", ["-c", list], { cwd: built, encoding: "utf8" }));
    const ofAttached = names(succeeded(await machine.run(`cd ${PREFIX} && ${list}`)));
    expect(ofBuilt.filter((name) => !ofAttached.includes(name))).toEqual([
      // of the OpenResty that was built
      "nffi/sbom.cdx.json",
    ]);
    expect(ofAttached.filter((name) => !ofBuilt.includes(name))).toEqual([
      "nffi/lib/libnffi_glue.so",

      // of a project for nffi-nginx
      "nffi/nginx/http.conf",
      "nffi/nginx/main.conf",
      "nffi/nginx/program",
    ]);
  });

  test("a prefix that is a link to a searched directory needs no line in nginx.conf", async () => {
    succeeded(await machine.run(`ln -s ${PREFIX} /tmp/link`));
    const shown = succeeded(await machine.nffi("attach --dry-run --verbose --prefix /tmp/link"));
    expect(shown).toContain("prefix: /tmp/link\n");
    expect(shown).not.toContain("lua_package_path");
  });

  test("nffi detach leaves nothing of the languages, such as compiled Python", async () => {
    const python = `${PREFIX}/nffi/python`;
    const compiling = `env -u PYTHONDONTWRITEBYTECODE PYTHONPATH=${python} /usr/bin/python3`;
    succeeded(await machine.run(`${compiling} -c "import nffi"`));
    succeeded(await machine.run(`test -e ${python}/nffi/__pycache__`));
    succeeded(await machine.nffi("detach"));
    expect((await machine.run(`ls -d ${PREFIX}`)).stderr).toContain("No such file");
  });
});
