/**
 * The source that the CI file and the Dockerfile of a project build from: the source of the
 * product with which the project was created, if another machine can download it.
 */

import { RELEASES } from "../catalog/releases.js";
import type { BuiltManifest } from "../pipeline/manifest.js";
import { DEBIAN_SUITES } from "../sources/debian/suites.js";

export interface BuildSource {
  /** Options of `nffi build`. */
  readonly options: string;
  /** The release of Debian whose images have what such a build needs. */
  readonly suite: string;
  /** The generation of the PCRE library that it compiles against. */
  readonly pcre: 1 | 2;
}

/** The source that the templates name. */
export const TEMPLATE_SOURCE: BuildSource = {
  options: "--source debian:trixie",
  suite: "trixie",
  pcre: 2,
};

/** Debian has no package of PCRE1 after this release. */
const LAST_WITH_PCRE1 = "bookworm";

/** Undefined if only the machine of the build has the source. */
export function buildSourceOf({ source }: Pick<BuiltManifest, "source">): BuildSource | undefined {
  if (source.kind === "debian") {
    const suite = DEBIAN_SUITES.find(({ name }) => source.origin === `Debian ${name}`);
    return suite && { options: `--source debian:${suite.name}`, suite: suite.name, pcre: 2 };
  }
  const release = RELEASES.find(({ version }) => source.name === `OpenResty ${version}`);
  if (release) {
    const options = `--source official --openresty ${release.version}`;
    const suite = release.pcre === 1 ? LAST_WITH_PCRE1 : TEMPLATE_SOURCE.suite;
    return { options, suite, pcre: release.pcre };
  }
  if (source.sha256 === undefined || !/^https?:[^\s'"]+$/.test(source.origin)) return undefined;
  return { ...TEMPLATE_SOURCE, options: `--source ${source.origin} --sha256 ${source.sha256}` };
}
