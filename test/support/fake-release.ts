// A source tree that looks like OpenResty to `nffi build`, and that its patches apply to. The test
// defines what its configure and make do, so that they take no time.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { repository } from "./cli.js";

export interface FakeRelease {
  /** Shell script; does nothing if not given. */
  readonly configure?: string;
  /** A whole Makefile. */
  readonly makefile?: string;
  /** Files to add or replace, by path below the tree. */
  readonly files?: Readonly<Record<string, string>>;
}

/**
 * For builds of fake releases: they leave out the Java part, which takes longest of all that they
 * really compile.
 */
export const WITHOUT_JAVA = { JAVA_HOME: "/no/jdk" };

/** Makes the tree in `dir`, which must not exist. */
export function makeFakeRelease(dir: string, release: FakeRelease = {}): string {
  const components: Record<string, string> = {
    nginx: "nginx-1.99.0",
    ngx_lua: "ngx_lua-0.10.99rc1",
    "lua-resty-core": "lua-resty-core-0.1.99",
  };
  mkdirSync(join(dir, "bundle", "ngx_lua-0.10.99rc1", "src"), { recursive: true });
  mkdirSync(join(dir, "bundle", "lua-resty-core-0.1.99", "lib/resty/core"), { recursive: true });
  for (const [component, patch] of seriesOf()) {
    const { file, text } = whatFits(patch);
    write(join(dir, "bundle", components[component] ?? component, file), text);
  }
  write(join(dir, "bundle", "nginx-1.99.0-no_pool.patch"), "not a folder\n");
  write(join(dir, "configure"), `#!/bin/sh\n${release.configure ?? "mkdir build"}\n`, 0o755);
  write(join(dir, "Makefile"), release.makefile ?? "all:\ninstall:\n");
  for (const [path, text] of Object.entries(release.files ?? {})) write(join(dir, path), text);
  return dir;
}

function seriesOf(): [component: string, patch: string][] {
  const patches = join(repository, "patches");
  const lines = readFileSync(join(patches, "series"), "utf8").split("\n");
  return lines
    .map((line) => line.replace(/#.*/, "").trim().split(/\s+/))
    .filter((words) => words.length === 2)
    .map(([component = "", name = ""]) => [component, readFileSync(join(patches, name), "utf8")]);
}

/** The smallest file that a patch fits: the old lines of its hunks. */
function whatFits(patch: string): { file: string; text: string } {
  const file = /^--- a\/(\S+)/m.exec(patch)?.[1] ?? "";
  const hunks = patch.slice(patch.indexOf("\n@@")).split("\n");
  const old = hunks.filter((line) => /^[ -]/.test(line)).map((line) => line.slice(1));
  return { file, text: `${old.join("\n")}\n` };
}

function write(file: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, mode);
}
