import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { requireOwnPrefix } from "../../../src/pipeline/prefix.js";
import { temporaryFolder } from "../../support/temporary.js";

function prefixWith(path: string, text: string): string {
  const prefix = join(temporaryFolder(), "prefix");
  mkdirSync(dirname(join(prefix, path)), { recursive: true });
  writeFileSync(join(prefix, path), text);
  return prefix;
}

const strict = { overwriteForeign: false };
const MANIFEST = JSON.stringify({ format: 1, files: { "lualib/other/x.lua": "" } });

test.each([
  ["nginx/sbin/nginx", "another one"],
  ["bin/openresty", "another one"],
  ["lualib/resty/core.lua", "another one"],
  ["nffi/nffi.json", "no manifest"],
])(
  "an OpenResty that is not ours is refused by its %s, unless it is allowed",
  async (path, text) => {
    const prefix = prefixWith(path, text);
    await expect(requireOwnPrefix(prefix, strict)).rejects.toMatchObject({
      code: "foreign-files",
      hint: expect.stringContaining("--overwrite-foreign"),
    });
    await requireOwnPrefix(prefix, { overwriteForeign: true });
  },
);

test("a product that is attached is refused, whatever is allowed", async () => {
  const nginx = { path: "/usr/sbin/nginx" };
  const text = JSON.stringify({ format: 1, kind: "attached", files: {}, nginx });
  const prefix = prefixWith("nffi/nffi.json", text);
  await expect(requireOwnPrefix(prefix, { overwriteForeign: true })).rejects.toMatchObject({
    code: "foreign-files",
    message: `nffi is attached to /usr/sbin/nginx in ${prefix}`,
    hint: expect.stringContaining(`nffi detach ${prefix}`),
  });
  // of a project, to a product that others use
  const link = join(temporaryFolder(), "openresty");
  symlinkSync(prefix, link);
  await expect(requireOwnPrefix(link, { overwriteForeign: true })).rejects.toMatchObject({
    message: expect.stringContaining(`a link to ${prefix}`),
    hint: expect.stringContaining(`\`rm ${link}\` first`),
  });
});

test("a product of ours, other files and an absent prefix are no hindrance", async () => {
  const prefix = prefixWith("nffi/nffi.json", MANIFEST);
  mkdirSync(join(prefix, "nginx/sbin"), { recursive: true });
  writeFileSync(join(prefix, "nginx/sbin/nginx"), "ours");
  await requireOwnPrefix(prefix, strict);
  await requireOwnPrefix(prefixWith("mine.txt", "mine"), strict);
  await requireOwnPrefix(join(prefix, "absent"), strict);
});

test.each(["nginx", "luajit", "lualib/resty", "nffi", "bin", "lualib/other"])(
  "a link %s is refused before anything is built, whatever is allowed",
  async (path) => {
    const prefix = prefixWith(path === "nffi" ? "mine.txt" : "nffi/nffi.json", MANIFEST);
    mkdirSync(dirname(join(prefix, path)), { recursive: true });
    symlinkSync(temporaryFolder(), join(prefix, path));
    await expect(requireOwnPrefix(prefix, { overwriteForeign: true })).rejects.toMatchObject({
      code: "foreign-files",
      message: expect.stringContaining(join(prefix, path)),
    });
  },
);

test.each(["nginx/conf", "nginx/html", "nginx/logs"])(
  "the user may make %s a link",
  async (path) => {
    const prefix = prefixWith("nffi/nffi.json", MANIFEST);
    mkdirSync(join(prefix, "nginx"));
    symlinkSync(temporaryFolder(), join(prefix, path));
    await requireOwnPrefix(prefix, strict);
    expect(readdirSync(prefix).sort()).toEqual(["nffi", "nginx"]);
  },
);
