/** The debian source as the steps of a build see it. */
import { createHash } from "node:crypto";
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../../errors.js";
import { shipped } from "../../host/package.js";
import { sha256OfFile } from "../../io/files.js";
import {
  assembleDebianTree,
  type DebianTree,
  type FetchedDebianSources,
  fetchDebianSources,
  type ResolvedDebianSuite,
} from "../../sources/debian/debian-source.js";
import { type DebianNote, securityGapsOf, warningsOf } from "../../sources/debian/notes.js";
import type { SourceIdentity, SourcePart } from "../../sources/source.js";
import type { TrustPolicy } from "../request.js";
import type { Site } from "../site.js";
import type { StepContext } from "../step.js";

export interface DebianPackages {
  readonly kind: "debian";
  readonly sources: FetchedDebianSources;
}

export async function fetchDebian(
  resolved: ResolvedDebianSuite,
  trust: TrustPolicy,
  site: Pick<Site, "downloadDir">,
  step: StepContext,
): Promise<DebianPackages> {
  step.note(`source packages of ${resolved.suite.name}`);
  const { signal, log, env } = step;
  const options = { signal, log, env, cacheDir: site.downloadDir };
  const sources = await fetchDebianSources(resolved, options);
  if (trust.requireSecurityPatches) requireSecurityPatches(sources.notes);
  for (const { text, details } of warningsOf(sources.notes, resolved.suite.name)) {
    step.warn(text, details);
  }
  step.note(`${sources.components.length} source packages of ${resolved.suite.name}`);
  return { kind: "debian", sources };
}

export function requireSecurityPatches(notes: readonly DebianNote[]): void {
  const gaps = securityGapsOf(notes);
  if (gaps.length === 0) return;
  const named = gaps.flatMap(({ component }) => component ?? []);
  const what = named.length > 0 ? named.join(", ") : "every component";
  throw new NffiError("patches-missing", `security patches of Debian are missing: ${what}`, {
    hint: [
      ...gaps.map(({ text }) => text),
      "build when the archive is complete again, or use an official release: --source official;",
      "without --require-security-patches this is a warning",
    ].join("\n"),
  });
}

/** Changes with the packages and with what turns them into a tree. */
export async function keyOfDebian(packages: DebianPackages): Promise<string> {
  const template = shipped.debianTree;
  // the identity of an older tree says less: such a tree is made again
  const hash = createHash("sha256").update("parts, gaps");
  hash.update(JSON.stringify(packages.sources.components));
  hash.update(JSON.stringify(securityGapsOf(packages.sources.notes)));
  for (const entry of await readdir(template, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) hash.update(await sha256OfFile(join(entry.parentPath, entry.name)));
  }
  return hash.digest("hex");
}

export async function assembleDebian(
  packages: DebianPackages,
  treeDir: string,
  verifiedBy: string,
  step: StepContext,
): Promise<SourceIdentity> {
  const into = `${treeDir}.assembled`;
  try {
    const { signal, log, env } = step;
    const options = { signal, log, env, into };
    const tree = await assembleDebianTree(packages.sources, options);
    await rename(tree.root, treeDir);
    return {
      kind: "debian",
      name: `${tree.version} (OpenResty-compatible, assembled from Debian sources)`,
      origin: `Debian ${tree.suite.name}`,
      sha256: undefined,
      verifiedBy,
      packages: Object.fromEntries(tree.origins.map(({ file, sha256 }) => [file, sha256])),
      parts: partsOf(tree),
      securityGaps: securityGapsOf(tree.notes),
      configureArgs: tree.suite.configureArgs,
    };
  } finally {
    await rm(into, { recursive: true, force: true });
  }
}

function partsOf({ components, origins }: DebianTree): SourcePart[] {
  return components.map(({ name, debianVersion, debianPatches }) => ({
    component: name,
    version: debianVersion,
    archives: origins
      .filter((origin) => origin.name === name)
      .map(({ file, sha256 }) => ({ file, sha256 })),
    patches: debianPatches,
  }));
}
