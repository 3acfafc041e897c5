import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { Manifest } from "../../../src/pipeline/manifest.js";
import { removeProduct } from "../../../src/pipeline/uninstall.js";
import { differencesOf } from "../../../src/pipeline/verify-product.js";
import { temporaryFolder } from "../../support/temporary.js";

const OWN = ["nginx/sbin/nginx", "nffi/lib/libnffi.so.1", "nginx/conf/nginx.conf"];

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** Every file of the product has its own path as content, so one hash fits one place. */
function product(more: Record<string, string> = {}, listed: Record<string, string> = {}) {
  const prefix = join(temporaryFolder(), "prefix");
  for (const path of [...OWN, "nffi/nffi.json"]) write(join(prefix, path), path);
  symlinkSync("libnffi.so.1", join(prefix, "nffi/lib/libnffi.so"));
  for (const [path, text] of Object.entries(more)) write(join(prefix, path), text);
  const files = { ...Object.fromEntries(OWN.map((path) => [path, sha256(path)])), ...listed };
  const links = { "nffi/lib/libnffi.so": "libnffi.so.1" };
  return { prefix, manifest: { format: 1, files, links } as unknown as Manifest };
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

test("removes what the manifest lists, keeps the configuration", async () => {
  const made = product();
  const { removed, kept } = await removeProduct(made, { dryRun: false });
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

test("keeps foreign files and logs, and their directories", async () => {
  const made = product({ "nffi/lib/mine.so": "mine", "nginx/logs/error.log": "log" });
  const { kept } = await removeProduct(made, { dryRun: false });
  expect([...kept].sort()).toEqual([
    "nffi/lib/mine.so",
    "nginx/conf/nginx.conf",
    "nginx/logs/error.log",
  ]);
  expect(existsSync(join(made.prefix, "nffi/lib/mine.so"))).toBe(true);
});

test("--dry-run removes nothing", async () => {
  const made = product();
  const { removed } = await removeProduct(made, { dryRun: true });
  expect(removed).toHaveLength(4);
  for (const path of removed) expect(readdirSync(dirname(join(made.prefix, path)))).not.toEqual([]);
});

test.each([
  ["by ..", (folder: string) => ["../outside", join(folder, "outside")]],
  ["by .. in the middle", (folder: string) => ["nffi/../../outside", join(folder, "outside")]],
  ["by an absolute path", (folder: string) => [join(folder, "outside"), join(folder, "outside")]],
  // names a file of the user, which a plain path would not
  [
    "to nginx/conf",
    (folder: string) => ["./nginx/conf/mine", join(folder, "prefix/nginx/conf/mine")],
  ],
])("a manifest that leads outside %s removes nothing there, and is named", async (_how, where) => {
  const text = "a file of the user";
  const made = product();
  const [path = "", place = ""] = where(dirname(made.prefix));
  write(place, text);
  // were the path below the prefix after all, it would be there, too
  write(join(made.prefix, place), text);
  const manifest = {
    ...made.manifest,
    files: { ...made.manifest.files, [path]: sha256(text) },
  };
  expect(await differencesOf({ ...made, manifest })).toEqual([{ path, what: "outside" }]);
  const { outside, removed } = await removeProduct({ ...made, manifest }, { dryRun: false });
  expect(outside).toEqual([path]);
  expect(removed).not.toContain(path);
  expect(readFileSync(place, "utf8")).toBe(text);
  expect(existsSync(join(made.prefix, place))).toBe(true);
});

test.each(["nffi/lib", "nginx/sbin", "nginx"])(
  "nothing is removed through the link %s",
  async (folder) => {
    const made = product();
    const elsewhere = join(dirname(made.prefix), "elsewhere");
    renameSync(join(made.prefix, folder), elsewhere);
    symlinkSync(elsewhere, join(made.prefix, folder));
    mkdirSync(join(elsewhere, "logs"), { recursive: true });
    const before = readdirSync(elsewhere, { recursive: true }).sort();
    const { outside, removed } = await removeProduct(made, { dryRun: false });
    expect(readdirSync(elsewhere, { recursive: true }).sort()).toEqual(before);
    expect(outside.length).toBeGreaterThan(0);
    for (const path of outside) expect(path).toContain(`${folder}/`);
    for (const path of removed) expect(path).not.toContain(`${folder}/`);
  },
);

test("a manifest behind a link is not removed", async () => {
  const made = product();
  const elsewhere = join(dirname(made.prefix), "elsewhere");
  renameSync(join(made.prefix, "nffi"), elsewhere);
  symlinkSync(elsewhere, join(made.prefix, "nffi"));
  const { outside } = await removeProduct(made, { dryRun: false });
  expect(outside).toContain("nffi/nffi.json");
  expect(existsSync(join(elsewhere, "nffi.json"))).toBe(true);
});

test("the prefix itself may be a link", async () => {
  const made = product();
  const prefix = join(dirname(made.prefix), "link");
  symlinkSync(made.prefix, prefix);
  const { removed, outside } = await removeProduct({ ...made, prefix }, { dryRun: false });
  expect(removed).toHaveLength(4);
  expect(outside).toEqual([]);
  expect(existsSync(join(made.prefix, "nginx/sbin/nginx"))).toBe(false);
});

test("keeps and names what was changed after the installation", async () => {
  const made = product();
  write(join(made.prefix, "nginx/sbin/nginx"), "the administrator's nginx");
  rmSync(join(made.prefix, "nffi/lib/libnffi.so"));
  symlinkSync("mine.so", join(made.prefix, "nffi/lib/libnffi.so"));
  rmSync(join(made.prefix, "nffi/lib/libnffi.so.1"));
  symlinkSync("mine.so", join(made.prefix, "nffi/lib/libnffi.so.1"));
  const changed = ["nginx/sbin/nginx", "nffi/lib/libnffi.so.1", "nffi/lib/libnffi.so"];
  const result = await removeProduct(made, { dryRun: false });
  expect(result).toMatchObject({ changed, kept: ["nginx/conf/nginx.conf"] });
  for (const path of changed) {
    expect(readdirSync(dirname(join(made.prefix, path)))).toContain(path.split("/").at(-1));
  }
});

test.runIf(process.getuid?.() === 0)("what this user may not read is kept", async () => {
  const made = product({ "nginx/client_body_temp/1": "a body" });
  chmodSync(join(made.prefix, "nginx/client_body_temp"), 0o700);
  chmodSync(join(made.prefix, "nginx/sbin/nginx"), 0o600);
  chownSync(made.prefix, 65534, 65534);
  process.seteuid?.(65534);
  try {
    const { removed, changed } = await removeProduct(made, { dryRun: true });
    expect(removed).toHaveLength(3);
    expect(changed).toEqual(["nginx/sbin/nginx"]);
  } finally {
    process.seteuid?.(0);
  }
});

test("an empty prefix is removed as well", async () => {
  const made = product();
  rmSync(join(made.prefix, "nginx/conf"), { recursive: true });
  mkdirSync(join(made.prefix, "nginx/logs"));
  await removeProduct(made, { dryRun: false });
  expect(existsSync(made.prefix)).toBe(false);
});
