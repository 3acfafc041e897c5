import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { Manifest } from "../../../src/pipeline/manifest.js";
import { replaceProduct } from "../../../src/pipeline/replace-product.js";
import { temporaryFolder } from "../../support/temporary.js";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** A directory with these files, whose content is their own path, and a manifest of them. */
function productIn(folder: string, paths: readonly string[]) {
  const files = Object.fromEntries(paths.map((path) => [path, sha256(path)]));
  const manifest = { format: 1, files } as unknown as Manifest;
  for (const path of paths) write(join(folder, path), path);
  write(join(folder, "nffi/nffi.json"), JSON.stringify(manifest));
  return { stagedPrefix: folder, manifest };
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

test("directories that only the previous product had files in go with them", async () => {
  const folder = temporaryFolder();
  const prefix = join(folder, "prefix");
  productIn(prefix, ["nffi/old/deep/a.py", "nffi/mixed/b.py", "nffi/lib/c.so"]);
  write(join(prefix, "nffi/mixed/mine"), "mine");
  const staged = productIn(join(folder, "staged"), ["nffi/lib/c.so"]);
  const context = { env: {}, signal: new AbortController().signal, warn: () => {} };
  await replaceProduct(prefix, staged, context);
  expect(existsSync(join(prefix, "nffi/old"))).toBe(false);
  expect(readdirSync(join(prefix, "nffi/mixed"))).toEqual(["mine"]);
  expect(readFileSync(join(prefix, "nffi/lib/c.so"), "utf8")).toBe("nffi/lib/c.so");
});
