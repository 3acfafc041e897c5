// A release archive made of Debian's sources, served by HTTP: what `--source URL` builds.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { sha256OfFile } from "../../src/io/files.js";
import {
  assembleDebianTree,
  fetchDebianSources,
  resolveDebianSuite,
} from "../../src/sources/debian/debian-source.js";
import { repository } from "./cli.js";
import { answers, httpServer } from "./http-server.js";
import { anySuite } from "./openresty.js";

export interface ReleaseArchive {
  readonly url: string;
  readonly sha256: string;
  /** What `configure` needs for these sources. */
  readonly configureArgs: readonly string[];
}

/** Serves it for the time of the test; `folder` takes the files. */
export async function serveRelease(folder: string): Promise<ReleaseArchive> {
  const cacheDir = join(repository, ".nffi/test/download");
  const fetched = await fetchDebianSources(await resolveDebianSuite(anySuite), { cacheDir });
  const { root, suite } = await assembleDebianTree(fetched, { into: folder });
  const archive = join(folder, "openresty.tar.gz");
  execFileSync("tar", ["-czf", archive, "-C", folder, basename(root)]);
  const server = await httpServer(answers.whole(readFileSync(archive)));
  const sha256 = await sha256OfFile(archive);
  return { url: `${server}/openresty.tar.gz`, sha256, configureArgs: suite.configureArgs };
}
