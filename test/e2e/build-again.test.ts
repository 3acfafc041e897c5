// A second build into a prefix that is in use: nothing is done when nothing has changed, the bytes
// are the same wherever it is built, and a change compiles only what depends on it.
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AddedProduct, takeAddedProduct } from "../support/added-product.js";
import { type CliResult, runCli } from "../support/cli.js";
import { withoutSharing } from "../support/compile-cache.js";
import { modulesLoadedBy } from "../support/loaded-modules.js";
import { startNginx } from "../support/nginx.js";
import { copyPackage, type PackageCopy } from "../support/package-copy.js";
import { temporaryFolderOfAll } from "../support/temporary.js";

interface Event {
  readonly event: string;
  readonly step?: string;
  readonly note?: string;
  readonly text?: string;
  readonly unchanged?: boolean;
}

const eventsOf = ({ stdout }: CliResult): Event[] =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

/** The C files that a step has compiled. */
function compiledIn(step: string, events: readonly Event[]): string[] {
  const text = events.map((one) => (one.step === step ? (one.text ?? "") : "")).join("");
  const sources = [...text.matchAll(/-c .*?([\w-]+\.c)$|^\s+(?:\.\.\/|src\/)\S*?([\w-]+\.c)$/gm)];
  return sources.map(([, one, other]) => one ?? other ?? "").sort();
}

/** Before what stands after `--`. */
const withOptions = ([command = "", ...rest]: readonly string[], options: readonly string[]) => [
  command,
  ...options,
  ...rest,
];

const noteOf = (step: string, events: readonly Event[]) =>
  events.findLast((one) => one.event === "step-finished" && one.step === step)?.note;

const echo = (prefix: string) => `
  location /echo {
    content_by_lua_block {
      local rt = assert(ngx.load_nonblocking_ffi("${prefix}/nffi/lib/libnffi_echo.so", ""))
      ngx.print(select(2, rt:echo(ngx.var.arg_q)))
    }
  }`;

describe.skipIf(process.env.NFFI_TEST_PREFIX)("a second build", () => {
  const folder = temporaryFolderOfAll();
  const work = join(folder, "work");
  let product: AddedProduct;
  let prefix = "";
  let copy: PackageCopy;
  let args: string[];

  const buildFirst = (options: readonly string[] = []) =>
    runCli(withOptions(product.args, options), { env: withoutSharing });

  const build = async (more: readonly string[] = []) => {
    const env = { CCACHE_DISABLE: "1" };
    const result = await copy.nffi(withOptions(args, ["--json", "--verbose", ...more]), { env });
    expect(result.stderr).toBe("");
    return eventsOf(result);
  };

  beforeAll(async () => {
    product = await takeAddedProduct();
    prefix = product.prefix;
    copy = copyPackage(join(folder, "elsewhere/nffi"));
    args = product.args.filter((arg) => arg !== "--keep");
    args[args.indexOf("--work-dir") + 1] = work;
  });
  afterAll(() => product?.release());

  test("that is identical does nothing and says so", async () => {
    const before = statSync(join(prefix, "nginx/sbin/nginx")).mtimeMs;
    const again = await buildFirst();
    expect(again.exitCode).toBe(0);
    expect(again.stdout).toMatch(/^nothing has changed: /);
    expect(again.stdout).not.toContain("[ 1/12]");
    expect(again.stdout).toContain("was not asked for newer sources; --force does");
    expect(statSync(join(prefix, "nginx/sbin/nginx")).mtimeMs).toBe(before);
    const told = eventsOf(await buildFirst(["--json"]));
    expect(told).toMatchObject([{ event: "built", unchanged: true, prefix }]);
  });

  test("that is identical loads no code that builds", async () => {
    const { own, packages } = await modulesLoadedBy(product.args);
    expect(own).toContain("pipeline/build");
    expect(own).not.toContain("pipeline/pipeline");
    const heavy = ["execa", "undici", "tar", "listr2"];
    expect(packages.filter((name) => heavy.includes(name))).toEqual([]);
  });

  test("is not spared when an installed file was changed", async () => {
    const file = join(prefix, "lualib/resty/nffi.lua");
    const text = readFileSync(file);
    appendFileSync(file, "-- mine\n");
    const events = eventsOf(await buildFirst(["--json"]));
    expect(noteOf("resolve", events)).toContain("installed files are missing or were changed");
    expect(readFileSync(file).equals(text)).toBe(true);
  });

  test("from another directory, by another installation, produces the same bytes", async () => {
    const manifest = readFileSync(join(prefix, "nffi/nffi.json"), "utf8");
    const own = [join(prefix, "nginx/conf/mine.conf"), join(prefix, "nginx/logs/mine.log")];
    for (const file of own) writeFileSync(file, "mine");
    const conf = readFileSync(join(prefix, "nginx/conf/nginx.conf"));
    const nginx = await startNginx({ prefix, server: echo(prefix) });
    try {
      const events = await build(["--force"]);
      expect(compiledIn("make", events).length).toBeGreaterThan(100);
      // The manifest holds the SHA-256 of every file.
      expect(readFileSync(join(prefix, "nffi/nffi.json"), "utf8")).toBe(manifest);
      expect(await nginx.get("/echo?q=still+here")).toBe("still+here");
    } finally {
      await nginx.stop();
    }
    for (const file of own) {
      expect(readFileSync(file, "utf8")).toBe("mine");
      rmSync(file);
    }
    expect(readFileSync(join(prefix, "nginx/conf/nginx.conf")).equals(conf)).toBe(true);
    for (const folder of [copy.folder, work]) {
      const found = execFileSync("sh", ["-c", 'grep -rlF "$1" "$2" || true', "sh", folder, prefix]);
      expect(found.toString()).toBe("");
    }
  }, 900_000);

  test("compiles nothing but a C file of the library that was changed", async () => {
    appendFileSync(join(copy.folder, "c-src/lib/shared/error.c"), "/* changed */\n");
    const events = await build();
    expect(noteOf("resolve", events)).toContain("changed since the last build: C files");
    expect(noteOf("extract", events)).toContain("kept by an earlier run");
    expect(noteOf("patch", events)).toContain("already applied");
    expect(noteOf("configure", events)).toBe("as an earlier run has left it");
    expect(compiledIn("library", events).filter((name) => name !== "nffi_echo.c")).toEqual([
      "error.c",
    ]);
    expect(compiledIn("make", events)).toEqual([]);
  });

  test("compiles all that includes a header of the library that was changed", async () => {
    appendFileSync(join(copy.folder, "c-src/lib/shared/region.h"), "/* changed */\n");
    const events = await build();
    const library = compiledIn("library", events);
    expect(library).toEqual(expect.arrayContaining(["host.c", "queue.c", "region.c"]));
    expect(library).not.toContain("error.c");
    expect(compiledIn("make", events).length).toBeGreaterThan(3);
    for (const name of compiledIn("make", events))
      expect(name).toMatch(/^ngx_http_lua_(nffi|nonblocking_ffi)/);
  });

  test("compiles nothing but a C file of the glue that was changed", async () => {
    const file = "ngx_http_lua_nffi_output.c";
    appendFileSync(join(copy.folder, "c-src/ngx", file), "/* changed */\n");
    const events = await build();
    expect(compiledIn("library", events)).toEqual([]);
    expect(compiledIn("make", events)).toEqual([file]);
  });

  test("compiles nothing when a Lua file was changed; --clean leaves only logs", async () => {
    appendFileSync(join(copy.folder, "lua/resty/nffi.lua"), "-- changed\n");
    const events = await build(["--clean"]);
    expect(noteOf("resolve", events)).toContain("changed since the last build: Lua files");
    expect(compiledIn("make", events)).toEqual([]);
    expect(readFileSync(join(prefix, "lualib/resty/nffi.lua"), "utf8")).toMatch(/-- changed\n$/);
    expect(readdirSync(work).sort()).toEqual([".nffi-work", "logs"]);
  });

  test("of the first sources produces the first product again", async () => {
    expect((await buildFirst()).exitCode).toBe(0);
    expect((await buildFirst()).stdout).toMatch(/^nothing has changed: /);
  }, 900_000);
});
