// The upstream source of a Debian source package, unpacked: real libraries for the tests.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { downloadSources } from "../../src/sources/debian/choose-revision.js";
import { resolveDebianSuite } from "../../src/sources/debian/debian-source.js";
import { preparePrivateApt, updateIndex } from "../../src/sources/debian/private-apt.js";
import { parseSourceIndex } from "../../src/sources/debian/source-index.js";

/** Unpacks the newest complete revision of each package. Returns the directories by package. */
export async function debianSources(
  packages: readonly string[],
  folder: string,
): Promise<Record<string, string>> {
  const { suite, archive } = await resolveDebianSuite("trixie");
  const aptDir = join(folder, "apt");
  const files = join(folder, "files");
  mkdirSync(files, { recursive: true });
  const apt = await preparePrivateApt(
    { dir: aptDir, suite: suite.name, archive, withBinaries: false },
    {},
  );
  await updateIndex(apt, {});
  const shown = await apt.run("apt-cache", ["showsrc", "--only-source", ...packages], {});
  const index = parseSourceIndex(shown.stdout);
  const folders: Record<string, string> = {};
  for (const name of packages) {
    for (const revision of index.get(name) ?? []) {
      await downloadSources([revision], { dir: files, apt, options: {} });
      if (!readdirSync(files).includes(revision.orig.name)) continue;
      const into = join(folder, name);
      mkdirSync(into);
      execFileSync("tar", [
        "-xf",
        join(files, revision.orig.name),
        "-C",
        into,
        "--strip-components=1",
      ]);
      folders[name] = into;
      break;
    }
    if (!folders[name]) throw new Error(`the archive lacks the source of ${name}`);
  }
  return folders;
}
