/**
 * The names of the packages of operating systems: data without I/O. The key is the Debian name,
 * which the rest of nffi uses for a package.
 */

export type Family = "debian" | "fedora" | "suse" | "arch";

type Names = Readonly<Record<Exclude<Family, "debian">, string>>;

const NAMES: Readonly<Record<string, Names>> = {
  "libc6-dev": { fedora: "glibc-devel", suse: "glibc-devel", arch: "glibc" },
  "xz-utils": { fedora: "xz", suse: "xz", arch: "xz" },
  "libssl-dev": { fedora: "openssl-devel", suse: "libopenssl-devel", arch: "openssl" },
  "zlib1g-dev": { fedora: "zlib-devel", suse: "zlib-devel", arch: "zlib" },
  "libpcre2-dev": { fedora: "pcre2-devel", suse: "pcre2-devel", arch: "pcre2" },
  "libpcre3-dev": { fedora: "pcre-devel", suse: "pcre-devel", arch: "pcre" },
  "libxml2-dev": { fedora: "libxml2-devel", suse: "libxml2-devel", arch: "libxml2" },
  "libxslt1-dev": { fedora: "libxslt-devel", suse: "libxslt-devel", arch: "libxslt" },
  "libgd-dev": { fedora: "gd-devel", suse: "gd-devel", arch: "gd" },
  "libgeoip-dev": { fedora: "GeoIP-devel", suse: "libGeoIP-devel", arch: "geoip" },
  "libpq-dev": { fedora: "libpq-devel", suse: "postgresql-devel", arch: "postgresql-libs" },
  "libaio-dev": { fedora: "libaio-devel", suse: "libaio-devel", arch: "libaio" },
};

/** Commands that are followed by the names of packages. */
const INSTALLERS: Readonly<Record<Family, readonly string[]>> = {
  debian: ["apt-get", "install", "--no-install-recommends"],
  fedora: ["dnf", "install"],
  suse: ["zypper", "install"],
  arch: ["pacman", "-S", "--needed"],
};

/** A package's name in a distribution; most are called the same everywhere. */
export function packageName(debian: string, family: Family): string {
  return family === "debian" ? debian : (NAMES[debian]?.[family] ?? debian);
}

/** The command line that installs packages, which are given by their Debian names. */
export function installCommand(debian: readonly string[], family: Family): string[] {
  const names = debian.map((name) => packageName(name, family));
  return [...INSTALLERS[family], ...new Set(names)];
}

/** Headers and libraries (as in -lNAME) by the Debian package that brings them. */
const CONTENTS: readonly (readonly [debian: string, header: RegExp, library: RegExp])[] = [
  ["libssl-dev", /^openssl\//, /^(ssl|crypto)$/],
  ["zlib1g-dev", /^z(lib|conf)\.h$/, /^z$/],
  ["libpcre2-dev", /^pcre2(posix)?\.h$/, /^pcre2-/],
  ["libpcre3-dev", /^pcre(posix)?\.h$/, /^pcre$/],
  ["libxml2-dev", /^libxml\//, /^xml2$/],
  ["libxslt1-dev", /^libe?xslt\//, /^e?xslt$/],
  ["libgd-dev", /^gd\.h$/, /^gd$/],
  ["libgeoip-dev", /^GeoIP\.h$/, /^GeoIP$/],
  ["libpq-dev", /^(libpq-fe\.h|postgresql\/)/, /^pq$/],
  ["libaio-dev", /^libaio\.h$/, /^aio$/],
  [
    "libc6-dev",
    /^((std|sys\/|linux\/|bits\/|features|limits|errno|unistd|string|pthread)\S*)$/,
    /^(c|m|dl|pthread|crypt)$/,
  ],
];

export function packageOfHeader(header: string): string | undefined {
  return CONTENTS.find(([, headers]) => headers.test(header))?.[0];
}

export function packageOfLibrary(library: string): string | undefined {
  return CONTENTS.find(([, , libraries]) => libraries.test(library))?.[0];
}
