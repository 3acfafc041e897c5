import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type ShippedFiles, shipped } from "../../../src/host/package.js";
import type { Manifest } from "../../../src/pipeline/manifest.js";
import { type ScaffoldRequest, scaffold } from "../../../src/scaffold/scaffold.js";
import { repository } from "../../support/cli.js";
import { temporaryFolder } from "../../support/temporary.js";

const session = {
  shipped: { ...shipped, templates: join(repository, "templates") } satisfies ShippedFiles,
  signal: new AbortController().signal,
};

function prefixIn(folder: string): string {
  const prefix = join(folder, ".nffi/openresty");
  mkdirSync(join(prefix, "nffi/node"), { recursive: true });
  writeFileSync(join(prefix, "nffi/node/package.json"), "{}");
  return prefix;
}

function request(parent: string, prefix: string): ScaffoldRequest {
  return {
    name: "hello",
    language: "typescript",
    port: 8080,
    parent,
    product: {
      prefix,
      manifest: { source: { kind: "debian", origin: "Debian trixie" } } as Manifest,
    },
    overwrite: false,
    dryRun: false,
  };
}

async function linkOf(parent: string, prefix: string): Promise<string> {
  const { folder } = await scaffold(request(parent, prefix), session);
  return readlinkSync(join(folder, ".nffi/openresty"));
}

test("a product in the same directory is linked by a path that moves with both", async () => {
  const parent = temporaryFolder();
  expect(await linkOf(parent, prefixIn(parent))).toBe("../../.nffi/openresty");
});

test("a product elsewhere is linked by its absolute path", async () => {
  const prefix = prefixIn(temporaryFolder());
  expect(await linkOf(temporaryFolder(), prefix)).toBe(prefix);
});

test("a product without the package of the language is refused", async () => {
  const parent = temporaryFolder();
  await expect(scaffold(request(parent, parent), session)).rejects.toMatchObject({
    code: "product-missing",
  });
  expect(readdirSync(parent)).toEqual([]);
});

test("another language is refused with the list of existing ones", async () => {
  const parent = temporaryFolder();
  const cobol = { ...request(parent, prefixIn(parent)), language: "cobol" };
  await expect(scaffold(cobol, session)).rejects.toMatchObject({
    code: "usage",
    message: 'unknown language "cobol"',
    hint: expect.stringMatching(/^languages: typescript, go\b/),
  });
});
