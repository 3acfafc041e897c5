import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { isMainThread } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import type { Manifest } from "../../../../src/pipeline/manifest.js";
import type { Site } from "../../../../src/pipeline/site.js";
import { installProduct } from "../../../../src/pipeline/steps/install.js";
import type { ProvenProduct } from "../../../../src/pipeline/steps/prove.js";
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
  const hash = (text: string) => createHash("sha256").update(text).digest("hex");
  const hashes = Object.fromEntries(
    Object.entries(files).map(([path, text]) => [path, hash(text)]),
  );
  const manifest = { format: 1, files: hashes } as unknown as Manifest;
  write(stagedPrefix, { ...files, "nffi/nffi.json": JSON.stringify(manifest) });
  return { stagedPrefix, manifest } as ProvenProduct;
}

/** A prefix with a product of an earlier build. */
async function installed(files: Record<string, string>): Promise<string> {
  const prefix = temporaryFolder();
  await installProduct(productOf(files), siteOf(prefix), stepContext());
  return prefix;
}

/** Every path below a directory, with what is in its file or link. */
function contentOf(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries.map((entry) => {
      const place = join(entry.parentPath, entry.name);
      const text = entry.isFile() ? readFileSync(place, "utf8") : "";
      return [place, entry.isSymbolicLink() ? readlinkSync(place) : text];
    }),
  );
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
  const prefix = await installed({ "nginx/sbin/nginx": "old nginx" });
  write(prefix, {
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
  const prefix = await installed({ "nginx/sbin/nginx": "old nginx" });
  const before = contentOf(prefix);
  // what cannot be replaced: a directory has the name of the temporary file
  mkdirSync(join(prefix, "nginx/sbin/.nginx.nffi-new"));
  const failing = productOf({ ...product, "a/new/folder/file": "" });
  await expect(installProduct(failing, siteOf(prefix), stepContext())).rejects.toMatchObject({
    code: "install-failed",
    hint: "what was in the prefix before is unchanged",
  });
  rmSync(join(prefix, "nginx/sbin/.nginx.nffi-new"), { recursive: true });
  expect(contentOf(prefix)).toEqual(before);
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
  const prefix = await installed({ "nginx/sbin/nginx": "old" });
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

test("what the last build had installed stays where it was changed since, and is named", async () => {
  const prefix = await installed({ "lualib/old.lua": "old", "lualib/other.lua": "other" });
  write(prefix, { "lualib/old.lua": "the administrator's" });
  const step = stepContext();
  await installProduct(productOf({ "lualib/new.lua": "" }), siteOf(prefix), step);
  expect(readdirSync(join(prefix, "lualib")).sort()).toEqual(["new.lua", "old.lua"]);
  expect(step.warnings.join()).toContain("lualib/old.lua");
});

test("a manifest of the last build that leads outside removes nothing there", async () => {
  const prefix = await installed({ "lualib/old.lua": "old" });
  const outside = join(dirname(prefix), `outside-of-${basename(prefix)}`);
  writeFileSync(outside, "old");
  onTestFinished(() => rmSync(outside));
  const manifest = JSON.parse(readFileSync(join(prefix, "nffi/nffi.json"), "utf8"));
  const path = `../${basename(outside)}`;
  manifest.files = { ...manifest.files, [path]: manifest.files["lualib/old.lua"] };
  writeFileSync(join(prefix, "nffi/nffi.json"), JSON.stringify(manifest));
  await installProduct(productOf({ "lualib/new.lua": "" }), siteOf(prefix), stepContext());
  expect(readdirSync(join(prefix, "lualib"))).toEqual(["new.lua"]);
  expect(existsSync(outside)).toBe(true);
});

test.each(["lualib", "lualib/resty"])(
  "writes and removes nothing through the link %s",
  async (at) => {
    const files = { "lualib/resty/old.lua": "old" };
    const prefix = await installed(files);
    const elsewhere = join(temporaryFolder(), "elsewhere");
    renameSync(join(prefix, at), elsewhere);
    symlinkSync(elsewhere, join(prefix, at));
    const before = contentOf(elsewhere);
    const newer = productOf({ "lualib/resty/new.lua": "" });
    await expect(installProduct(newer, siteOf(prefix), stepContext())).rejects.toMatchObject({
      code: "foreign-files",
      message: expect.stringContaining(join(prefix, at)),
    });
    // stale files also stay there if no new file replaces them
    await installProduct(productOf({ "bin/openresty": "" }), siteOf(prefix), stepContext());
    expect(contentOf(elsewhere)).toEqual(before);
  },
);

test("replaces no file that nffi did not install, unless it is allowed to", async () => {
  const prefix = temporaryFolder();
  write(prefix, { "nginx/sbin/nginx": "another nginx", "nginx/conf/nginx.conf": "my conf" });
  const before = contentOf(prefix);
  await expect(
    installProduct(productOf(product), siteOf(prefix), stepContext()),
  ).rejects.toMatchObject({
    code: "foreign-files",
    hint: expect.stringContaining("--overwrite-foreign"),
  });
  expect(contentOf(prefix)).toEqual(before);
  const allowed = { overwriteForeign: true };
  await installProduct(productOf(product), siteOf(prefix), stepContext(), allowed);
  expect(readFileSync(join(prefix, "nginx/sbin/nginx"), "utf8")).toBe("new nginx");
  expect(readFileSync(join(prefix, "nginx/conf/nginx.conf"), "utf8")).toBe("my conf");
});

test("a directory where a file must be is named before anything is written", async () => {
  const prefix = temporaryFolder();
  mkdirSync(join(prefix, "nginx/sbin/nginx"), { recursive: true });
  await expect(
    installProduct(productOf(product), siteOf(prefix), stepContext()),
  ).rejects.toMatchObject({ code: "foreign-files" });
  expect(readdirSync(join(prefix, "nginx/sbin"))).toEqual(["nginx"]);
});

// StrykerJS runs the tests in threads, which cannot set it.
test.runIf(isMainThread)(
  "whatever the umask was, others may read what is installed, and run programs",
  async () => {
    const prefix = join(temporaryFolder(), "prefix");
    const proven = productOf(product);
    chmodSync(join(proven.stagedPrefix, "nginx/sbin/nginx"), 0o700);
    chmodSync(join(proven.stagedPrefix, "nginx/conf/nginx.conf"), 0o666);
    const before = process.umask(0o077);
    onTestFinished(() => void process.umask(before));
    await installProduct(proven, siteOf(prefix), stepContext());
    const modeOf = (path: string) => statSync(join(prefix, path)).mode & 0o7777;
    expect(modeOf("nginx/sbin/nginx")).toBe(0o755);
    expect(modeOf("nginx/conf/nginx.conf")).toBe(0o644);
    for (const folder of ["", "nginx", "nginx/sbin", "nginx/logs"])
      expect(modeOf(folder)).toBe(0o755);
  },
);

test("directories below a setgid directory keep its group", async () => {
  const parent = temporaryFolder();
  chmodSync(parent, 0o2755);
  await installProduct(productOf(product), siteOf(join(parent, "prefix")), stepContext());
  expect(statSync(join(parent, "prefix/nginx/sbin")).mode & 0o7777).toBe(0o2755);
});
