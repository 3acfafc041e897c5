// Modules of nginx and static libraries that a user adds, in one real build of the debug flavour.
// test/full/build-openssl.test.ts adds OpenSSL, which takes longest.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AddedProduct, takeAddedProduct } from "../support/added-product.js";
import { runCli } from "../support/cli.js";
import { makeFakeRelease } from "../support/fake-release.js";
import { withNginx } from "../support/nginx.js";
import { temporaryFolder } from "../support/temporary.js";

describe.skipIf(process.env.NFFI_TEST_PREFIX)("a build with added sources", () => {
  let product: AddedProduct;
  beforeAll(async () => {
    product = await takeAddedProduct();
  });
  afterAll(() => product?.release());

  test("umask and environment of the user change nothing in it", () => {
    const { prefix } = product;
    const find = (...args: string[]) => execFileSync("find", args, { encoding: "utf8" });
    expect(find(prefix, "-type", "d", "!", "-perm", "755")).toBe("");
    expect(find(prefix, "-type", "f", "!", "-perm", "644", "!", "-perm", "755")).toBe("");
    const nginx = join(product.prefix, "nginx/sbin/nginx");
    expect(execFileSync("sh", ["-c", `${nginx} -V 2>&1`], { encoding: "utf8" })).not.toContain(
      "foreign",
    );
  });

  test.runIf(process.getuid?.() === 0)("its proof ran as the user of nginx's workers", () => {
    const logs = join(product.workDir, "logs");
    const log = readdirSync(logs).find((name) => name.endsWith("-prove.log")) ?? "";
    const text = readFileSync(join(logs, log), "utf8");
    expect(text).not.toContain("warning");
    expect(text).toContain("workers of nginx run as user 65534");
  });

  test("nginx links PCRE2 and zlib statically", () => {
    const nginx = join(product.prefix, "nginx/sbin/nginx");
    const needed = execFileSync("readelf", ["-d", nginx], { encoding: "utf8" });
    expect(needed).toContain("libnffi.so.1");
    expect(needed).not.toMatch(/lib(pcre|z\.)/);
  });

  test("the directories of the libraries are as they were, and not named by nginx -V", () => {
    const { prefix, workDir, libraries } = product;
    expect(existsSync(join(libraries.zlib, "libz.a"))).toBe(false);
    const nginx = join(product.prefix, "nginx/sbin/nginx");
    const shown = execFileSync("sh", ["-c", `${nginx} -V 2>&1`], { encoding: "utf8" });
    expect(shown).not.toContain(workDir);
    expect(shown).toContain("--with-debug");
    expect(shown).toMatch(/--with-cc-opt='-O2 [^']*-O0\b/);
    const manifest = JSON.parse(readFileSync(join(prefix, "nffi/nffi.json"), "utf8"));
    expect(manifest.flavor).toBe("debug");
  });

  test("both modules answer, the dynamic one after load_module", async () => {
    const { prefix } = product;
    const main = `load_module ${prefix}/nginx/modules/ngx_http_loaded_module.so;`;
    const server = "location /static { compiled_in; } location /dynamic { loaded; }";
    expect(readdirSync(join(prefix, "nginx/modules"))).toEqual(["ngx_http_loaded_module.so"]);
    await withNginx({ prefix, main, server }, async (nginx) => {
      expect(await nginx.get("/static")).toBe("static compiled_in");
      expect(await nginx.get("/dynamic")).toBe("dynamic loaded");
    });
  });
});

test.each([
  ["--add-module", 'it has no file "config"'],
  ["--add-dynamic-module", 'it has no file "config"'],
  ["--with-pcre", "it has no pcre2.h.generic"],
  ["--with-zlib", "it has no zlib.h"],
  ["--with-openssl", "it has no Configure"],
])("%s of another folder is refused before anything is done", async (option, message) => {
  const folder = temporaryFolder();
  const tree = makeFakeRelease(join(folder, "tree"));
  const places = ["--prefix", join(folder, "p"), "--work-dir", join(folder, "w")];
  const result = await runCli(["build", "--source", tree, ...places, option, "no/such"], {
    cwd: folder,
  });
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toContain(`${option} ${join(folder, "no/such")}: ${message}`);
});
