import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Header } from "tar";
import { describe, expect, test } from "vitest";
import { unpack } from "../../../src/io/archive.js";
import { temporaryFolder } from "../../support/temporary.js";

interface Entry {
  readonly path: string;
  readonly type?: "File" | "SymbolicLink" | "Link" | "CharacterDevice" | "FIFO";
  readonly linkpath?: string;
  readonly content?: string;
}

/** A tar archive made by hand: no tool would write what some tests need. */
function archiveOf(...entries: Entry[]): string {
  const blocks = entries.flatMap(({ path, type = "File", linkpath = "", content = "" }) => {
    const size = type === "File" ? content.length : 0;
    const header = new Header({ path, type, linkpath, size, mode: 0o644, mtime: new Date(0) });
    const head = Buffer.alloc(512);
    header.encode(head);
    const data = Buffer.alloc(Math.ceil(size / 512) * 512);
    data.write(content);
    return [head, data];
  });
  const file = join(temporaryFolder(), "archive.tar");
  writeFileSync(file, Buffer.concat([...blocks, Buffer.alloc(1024)]));
  return file;
}

test("unpacks files, directories and links that stay inside", async () => {
  const file = archiveOf(
    { path: "release/configure", content: "#!/bin/sh" },
    { path: "release/bundle/nginx-1/link", type: "SymbolicLink", linkpath: "../../configure" },
  );
  const into = join(temporaryFolder(), "out");
  await unpack(file, into);
  expect(readFileSync(join(into, "release/bundle/nginx-1/link"), "utf8")).toBe("#!/bin/sh");
});

describe("refuses the whole archive, before anything is written, for", () => {
  test.each<[string, Entry, RegExp]>([
    ["a path with ..", { path: "release/../../evil" }, /leads outside/],
    ["an absolute path", { path: "/etc/evil" }, /absolute path/],
    [
      "a symbolic link outside",
      { path: "release/link", type: "SymbolicLink", linkpath: "../../etc" },
      /link to "..\/..\/etc"/,
    ],
    [
      "a symbolic link to an absolute path",
      { path: "link", type: "SymbolicLink", linkpath: "/etc" },
      /link to "\/etc"/,
    ],
    [
      "a hard link outside",
      { path: "release/link", type: "Link", linkpath: "../passwd" },
      /link to "..\/passwd"/,
    ],
    ["a device", { path: "release/null", type: "CharacterDevice" }, /CharacterDevice/],
    ["a named pipe", { path: "release/pipe", type: "FIFO" }, /FIFO/],
  ])("%s", async (_name, entry, message) => {
    const into = join(temporaryFolder(), "out");
    const file = archiveOf({ path: "release/good", content: "good" }, entry);
    await expect(unpack(file, into)).rejects.toMatchObject({
      code: "extract-failed",
      message: expect.stringMatching(message),
    });
    expect(existsSync(into)).toBe(false);
  });
});

test.each([
  ["an archive that ends too early", (file: string) => truncateSync(file, 700)],
  ["a file that is no archive", (file: string) => writeFileSync(file, "<html>not found</html>")],
  ["an empty file", (file: string) => truncateSync(file, 0)],
])("refuses %s", async (_name, damage) => {
  const file = archiveOf({ path: "release/configure", content: "x".repeat(2000) });
  damage(file);
  const into = join(temporaryFolder(), "out");
  await expect(unpack(file, into)).rejects.toMatchObject({ code: "extract-failed" });
});

test("does not write through a link that an archive has made", async () => {
  const outside = temporaryFolder();
  const into = join(temporaryFolder(), "out");
  mkdirSync(into);
  const file = archiveOf(
    { path: "a", type: "SymbolicLink", linkpath: "b" },
    { path: "b", type: "SymbolicLink", linkpath: outside },
    { path: "a/evil", content: "evil" },
  );
  await expect(unpack(file, into)).rejects.toThrow();
  expect(existsSync(join(outside, "evil"))).toBe(false);
});

test("says what it accepts instead of a file that is not an archive", async () => {
  const file = join(temporaryFolder(), "passwd");
  writeFileSync(file, "root:x:0:0:root:/root:/bin/bash\n".repeat(50));
  const refused = unpack(file, join(temporaryFolder(), "out"));
  await expect(refused).rejects.toThrow("is not a tar archive");
  await expect(refused).rejects.toMatchObject({ hint: expect.stringContaining(".tar.gz") });
});
