/**
 * The OpenResty releases that nffi knows: data without I/O. A SHA-256 was collected from package
 * definitions that were published independently of each other; `agreeing` counts them.
 */

export interface Release {
  readonly version: string;
  readonly sha256: string;
  readonly agreeing: number;
  /** The generation of the PCRE library that it compiles against by default. */
  readonly pcre: 1 | 2;
  readonly support: Support;
}

/** The evidence that nffi works with a release. */
export interface Support {
  readonly level: "tested" | "expected";
  readonly why: string;
}

const sameAnchors: Support = {
  level: "expected",
  why: "the lines that the patches hold on to are unmoved in its nginx, ngx_lua and resty.core",
};

const newerNginx: Support = {
  level: "expected",
  why: "newer than the nginx sources the patches were compared with (1.19.9 to 1.29.8)",
};

export const RELEASES: readonly Release[] = [
  {
    version: "1.31.1.1",
    sha256: "65b78baadd3f0984055de89bf13f4a1932e5bfe9c31932037a134ea2b1a0ce42",
    agreeing: 5,
    pcre: 2,
    support: newerNginx,
  },
  {
    version: "1.27.1.2",
    sha256: "74f076f7e364b2a99a6c5f9bb531c27610c78985abe956b442b192a2295f7548",
    agreeing: 3,
    pcre: 2,
    support: sameAnchors,
  },
  {
    version: "1.27.1.1",
    sha256: "79b071e27bdc143d5f401d0dbf504de4420070d867538c5edc2546d0351fd5c0",
    agreeing: 2,
    pcre: 2,
    support: sameAnchors,
  },
  {
    version: "1.25.3.2",
    sha256: "2d564022b06e33b45f7e5cfaf1e5dc571d38d61803af9fa2754dfff353c28d9c",
    agreeing: 2,
    pcre: 2,
    support: sameAnchors,
  },
  {
    version: "1.25.3.1",
    sha256: "32ec1a253a5a13250355a075fe65b7d63ec45c560bbe213350f0992a57cd79df",
    agreeing: 3,
    pcre: 2,
    support: sameAnchors,
  },
  {
    version: "1.21.4.2",
    sha256: "5b1eded25c1d4ed76c0336dfae50bd94d187af9c85ead244135dd5ae363b2e2a",
    agreeing: 2,
    pcre: 1,
    support: sameAnchors,
  },
  {
    version: "1.21.4.1",
    sha256: "0c5093b64f7821e85065c99e5d4e6cc31820cfd7f37b9a0dec84209d87a2af99",
    agreeing: 6,
    pcre: 1,
    support: sameAnchors,
  },
];

/** What `nffi build` takes when no version is asked for. */
export const DEFAULT_RELEASE = "1.27.1.2";

/** Where the official archives lie; --mirror or NFFI_MIRROR replaces it. */
export const OFFICIAL_DOWNLOAD = "https://openresty.org/download";

/** The fingerprint of the key that signs official archives. */
export const OFFICIAL_SIGNER = "25451EB088460026195BD62CB550E09EA0E98066";

export function findRelease(version: string): Release | undefined {
  return RELEASES.find((release) => release.version === version);
}

export function releaseOfHash(sha256: string): Release | undefined {
  return RELEASES.find((release) => release.sha256 === sha256);
}

/** The release whose nginx is nearest to a version of nginx; the newer of two that are as near. */
export function nearestRelease(nginx: string): Release | undefined {
  const distance = (release: Release) => Math.abs(ordinal(release.version) - ordinal(nginx));
  return [...RELEASES].sort((a, b) => distance(a) - distance(b))[0];
}

/** 1.27.1.2 and 1.27.1 as numbers that can be compared: the first three parts are nginx's. */
function ordinal(version: string): number {
  const [major = 0, minor = 0, patch = 0] = version
    .split(".")
    .map((part) => Number.parseInt(part, 10));
  return (major * 1000 + minor) * 1000 + patch;
}

export function archiveName(version: string): string {
  return `openresty-${version}.tar.gz`;
}
