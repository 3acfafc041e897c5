/** `nffi list`: which releases can be built, what that claim rests on, and what is installed. */
import type { Command } from "commander";
import { DEFAULT_RELEASE, RELEASES, type Release } from "../catalog/releases.js";
import { isAttached } from "../pipeline/manifest.js";
import { knownProducts } from "../pipeline/product.js";
import { titleOf } from "../pipeline/product-title.js";
import { DEBIAN_SUITES, type DebianSuite } from "../sources/debian/suites.js";
import { table } from "../ui/table.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { productWishOf } from "./settings.js";

const TESTED = "every run of the tests builds and uses it";
const OTHERS = [
  "Any other release needs one of:",
  "  --openresty VERSION --keyring FILE   the public key of its signer",
  "  --source FILE|URL --sha256 SUM       its archive and the SHA-256 of it",
  "  --source DIRECTORY                   its unpacked source",
];
const PCRE1_NOTE = "needs PCRE 1, which Debian 13 no longer has";

export function listCommand(context: CommandContext): Command {
  return declared("list")
    .option("--json", "print the list as JSON")
    .action(async (options: { json?: boolean }) => {
      const installed = await installedProducts(context);
      if (options.json) return context.print(JSON.stringify(listFor(installed), null, 2));
      for (const line of linesOfList()) context.print(line);
      if (installed.length === 0) return;
      context.print("");
      context.print("Installed:");
      for (const line of indented(installed.map(({ title, prefix }) => [title, prefix])))
        context.print(line);
    });
}

interface Installed {
  readonly title: string;
  readonly prefix: string;
  readonly source: string;
  readonly nginx: string;
  readonly nffi: string;
}

async function installedProducts(context: CommandContext): Promise<Installed[]> {
  const products = await knownProducts(await productWishOf(undefined, context));
  return products.map(({ prefix, manifest }) => ({
    title: titleOf(manifest),
    prefix,
    source: isAttached(manifest) ? manifest.nginx.name : manifest.source.name,
    nginx: isAttached(manifest) ? manifest.nginx.path : manifest.nginx,
    nffi: manifest.nffi,
  }));
}

function listFor(installed: readonly Installed[]) {
  return {
    format: 1,
    debian: DEBIAN_SUITES.map((suite) => ({
      source: `debian:${suite.name}`,
      level: "tested",
      nginx: suite.nginx,
      ngxLua: suite.ngxLua,
      packages: suite.requiredPackages.map(({ debian }) => debian),
    })),
    official: RELEASES.map(({ version, sha256, pcre, support }) => ({
      version,
      level: support.level,
      why: support.why,
      sha256,
      pcre,
      isDefault: version === DEFAULT_RELEASE,
    })),
    installed,
  };
}

function linesOfList(): string[] {
  return [
    "Assembled from Debian's source packages (--source NAME):",
    ...indented(DEBIAN_SUITES.map(rowOfSuite)),
    "",
    "Official OpenResty (--openresty VERSION):",
    ...indented(RELEASES.map(rowOfRelease)),
    "",
    ...OTHERS,
  ];
}

function rowOfSuite({ name, nginx, ngxLua, requiredPackages }: DebianSuite): string[] {
  const needsPcre1 = requiredPackages.some(({ header }) => header === "pcre.h");
  const why = `nginx ${nginx}, ngx_lua ${ngxLua}: ${TESTED}`;
  return [`debian:${name}`, "tested", needsPcre1 ? `${why}; ${PCRE1_NOTE}` : why];
}

function rowOfRelease({ version, pcre, support }: Release): string[] {
  const why = pcre === 1 ? `${support.why}; ${PCRE1_NOTE}` : support.why;
  return [version, support.level, version === DEFAULT_RELEASE ? `${why} (default)` : why];
}

function indented(rows: readonly (readonly string[])[]): string[] {
  return table(rows).map((line) => `  ${line}`);
}
