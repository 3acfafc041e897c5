/**
 * Package URLs (purl-spec): the names with which other programs identify the contents of a product.
 */

export function githubPurl(repository: string, tag: string): string {
  return `pkg:github/${repository.toLowerCase()}@${encoded(tag)}`;
}

/** `file` is a file of Debian's archive: NAME_VERSION.orig.tar.gz, NAME_VERSION_all.deb. */
export function debianPurl(file: string, version: string, suite: string): string {
  const [name = file] = file.split("_");
  const arch = /_([a-z0-9-]+)\.deb$/.exec(file)?.[1] ?? "source";
  return `pkg:deb/debian/${encoded(name)}@${encoded(version)}?arch=${arch}&distro=${encoded(suite)}`;
}

export function npmPurl(name: string, version: string): string {
  return `pkg:npm/${name.split("/").map(encoded).join("/")}@${encoded(version)}`;
}

export function genericPurl(name: string, version: string): string {
  return `pkg:generic/${encoded(name)}@${encoded(version)}`;
}

/** The specification leaves a colon as it is. */
function encoded(text: string): string {
  return encodeURIComponent(text).replaceAll("%3A", ":");
}
