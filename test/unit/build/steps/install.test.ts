import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { Manifest } from "../../../../src/build/manifest.js";
import type { Site } from "../../../../src/build/site.js";
import { installProduct } from "../../../../src/build/steps/install.js";
import type { ProvenProduct } from "../../../../src/build/steps/prove.js";
import { stepContext } from "../../../support/step-context.js";
import { temporaryFolder } from "../../../support/temporary.js";

function write(root: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

function productOf(files: Record<string, string>): ProvenProduct {
  const stagedPrefix = temporaryFolder();
  const hashes = Object.fromEntries(Object.keys(files).map((path) => [path, ""]));
  const manifest = { format: 1, files: hashes } as unknown as Manifest;
  write(stagedPrefix, { ...files, "nffi/nffi.json": JSON.stringify(manifest) });
  return { stagedPrefix, manifest } as ProvenProduct;
}

const siteOf = (prefix: string) => ({ prefix }) as Site;
const product = {
  "nginx/sbin/nginx": "new nginx",
  "nginx/conf/nginx.conf": "new conf",
  "nginx/conf/new.conf": "new file in conf",
  "nginx/html/index.html": "new page",
};

test("fills an empty prefix, links included", async () => {
  const prefix = join(temporaryFolder(), "prefix");
  const proven = productOf(product);
  mkdirSync(join(proven.stagedPrefix, "bin"));
  symlinkSync("../nginx/sbin/nginx", join(proven.stagedPrefix, "bin/openresty"));
  await installProduct(proven, siteOf(prefix), stepContext());
  expect(readFileSync(join(prefix, "nginx/conf/nginx.conf"), "utf8")).toBe("new conf");
  expect(readlinkSync(join(prefix, "bin/openresty"))).toBe("../nginx/sbin/nginx");
  expect(existsSync(join(prefix, "nginx/logs"))).toBe(true);
});

test("replaces programs, but leaves conf, html and logs as the user has them", async () => {
  const prefix = temporaryFolder();
  write(prefix, {
    "nginx/sbin/nginx": "old nginx",
    "nginx/conf/nginx.conf": "my conf",
    "nginx/html/index.html": "my page",
    "nginx/logs/error.log": "my log",
  });
  await installProduct(productOf(product), siteOf(prefix), stepContext());
  expect(readFileSync(join(prefix, "nginx/sbin/nginx"), "utf8")).toBe("new nginx");
  expect(readFileSync(join(prefix, "nginx/conf/nginx.conf"), "utf8")).toBe("my conf");
  expect(readdirSync(join(prefix, "nginx/conf"))).toEqual(["nginx.conf"]);
  expect(readFileSync(join(prefix, "nginx/html/index.html"), "utf8")).toBe("my page");
  expect(readFileSync(join(prefix, "nginx/logs/error.log"), "utf8")).toBe("my log");
});

test("a failure in the middle changes nothing in the prefix", async () => {
  const prefix = temporaryFolder();
  write(prefix, { "nginx/sbin/nginx": "old nginx", lualib: "a file where a folder must be" });
  const failing = productOf({ ...product, "lualib/resty/nffi.lua": "", "a/new/folder/file": "" });
  await expect(installProduct(failing, siteOf(prefix), stepContext())).rejects.toMatchObject({
    code: "install-failed",
  });
  expect(readdirSync(prefix).sort()).toEqual(["lualib", "nginx"]);
  expect(readdirSync(join(prefix, "nginx"))).toEqual(["sbin"]);
  expect(readdirSync(join(prefix, "nginx/sbin"))).toEqual(["nginx"]);
  expect(readFileSync(join(prefix, "nginx/sbin/nginx"), "utf8")).toBe("old nginx");
});

test("an abort in the middle changes nothing in the prefix", async () => {
  const prefix = temporaryFolder();
  const abort = new AbortController();
  abort.abort(new Error("enough"));
  const step = stepContext({ signal: abort.signal });
  await expect(installProduct(productOf(product), siteOf(prefix), step)).rejects.toThrow("enough");
  expect(readdirSync(prefix)).toEqual([]);
});

test("removes what the last build had installed and this one has not", async () => {
  const prefix = temporaryFolder();
  write(prefix, { "lualib/mine.lua": "the user's own" });
  await installProduct(productOf({ "lualib/old.lua": "" }), siteOf(prefix), stepContext());
  await installProduct(productOf({ "lualib/new.lua": "" }), siteOf(prefix), stepContext());
  expect(readdirSync(join(prefix, "lualib")).sort()).toEqual(["mine.lua", "new.lua"]);
});

test("replaces a program that is running", async () => {
  const prefix = temporaryFolder();
  write(prefix, { "nginx/sbin/nginx": "old" });
  const place = join(prefix, "nginx/sbin/nginx");
  const { openSync, closeSync, readSync } = await import("node:fs");
  const opened = openSync(place, "r");
  await installProduct(productOf(product), siteOf(prefix), stepContext());
  const text = Buffer.alloc(3);
  readSync(opened, text);
  closeSync(opened);
  expect(text.toString()).toBe("old");
  rmSync(place);
});
