import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { Manifest } from "../../../src/build/manifest.js";
import { uninstallProduct } from "../../../src/build/uninstall.js";
import { temporaryFolder } from "../../support/temporary.js";

const OWN = ["nginx/sbin/nginx", "nffi/lib/libnffi.so.1", "nginx/conf/nginx.conf"];

function product(more: Record<string, string> = {}, files = OWN) {
  const prefix = join(temporaryFolder(), "prefix");
  for (const path of [...OWN, "nffi/nffi.json"]) write(join(prefix, path), "");
  symlinkSync("libnffi.so.1", join(prefix, "nffi/lib/libnffi.so"));
  for (const [path, text] of Object.entries(more)) write(join(prefix, path), text);
  const hashes = Object.fromEntries(files.map((path) => [path, ""]));
  const links = { "nffi/lib/libnffi.so": "libnffi.so.1" };
  return { prefix, manifest: { format: 1, files: hashes, links } as unknown as Manifest };
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

test("removes what the manifest lists, keeps the configuration", async () => {
  const made = product();
  const { removed, kept } = await uninstallProduct(made, { dryRun: false });
  expect(removed).toEqual([
    "nginx/sbin/nginx",
    "nffi/lib/libnffi.so.1",
    "nffi/lib/libnffi.so",
    "nffi/nffi.json",
  ]);
  expect(kept).toEqual(["nginx/conf/nginx.conf"]);
  expect(readdirSync(made.prefix, { recursive: true })).toEqual([
    "nginx",
    "nginx/conf",
    "nginx/conf/nginx.conf",
  ]);
});

test("keeps foreign files and logs, and the folders they lie in", async () => {
  const made = product({ "nffi/lib/mine.so": "mine", "nginx/logs/error.log": "log" });
  const { kept } = await uninstallProduct(made, { dryRun: false });
  expect([...kept].sort()).toEqual([
    "nffi/lib/mine.so",
    "nginx/conf/nginx.conf",
    "nginx/logs/error.log",
  ]);
  expect(existsSync(join(made.prefix, "nffi/lib/mine.so"))).toBe(true);
});

test("--dry-run removes nothing", async () => {
  const made = product();
  const { removed } = await uninstallProduct(made, { dryRun: true });
  expect(removed).toHaveLength(4);
  for (const path of removed) expect(readdirSync(dirname(join(made.prefix, path)))).not.toEqual([]);
});

test("a manifest that leads outside removes nothing there", async () => {
  const outside = join(temporaryFolder(), "outside");
  writeFileSync(outside, "");
  const made = product({}, ["../outside", outside, ...OWN]);
  await uninstallProduct(made, { dryRun: false });
  expect(existsSync(outside)).toBe(true);
});

test("a prefix in which nothing is left goes, too", async () => {
  const made = product();
  rmSync(join(made.prefix, "nginx/conf"), { recursive: true });
  mkdirSync(join(made.prefix, "nginx/logs"));
  await uninstallProduct(made, { dryRun: false });
  expect(existsSync(made.prefix)).toBe(false);
});
