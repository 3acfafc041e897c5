/** `nffi list`: which releases can be built, what that claim rests on, and what is installed. */
import { Command } from "commander";
import { DEFAULT_RELEASE, RELEASES } from "../catalog/releases.js";
import { knownProducts } from "../pipeline/product.js";
import { DEBIAN_SUITES } from "../sources/debian/suites.js";
import type { CommandContext } from "./context.js";

export function listCommand(context: CommandContext): Command {
  return new Command("list")
    .description("list the releases that can be built and what was built")
    .action(async () => {
      for (const line of linesOfList()) context.print(line);
      const products = await knownProducts(context.env, context.cwd);
      if (products.length === 0) return;
      context.print("");
      context.print("Installed here:");
      for (const { prefix, manifest } of products) {
        context.print(`  ${prefix}: ${manifest.source.name}`);
      }
    });
}

function linesOfList(): string[] {
  const debian = DEBIAN_SUITES.map(({ name, nginx, ngxLua }) => [
    `debian:${name}`,
    "tested",
    `nginx ${nginx}, ngx_lua ${ngxLua}: every run of the tests builds and uses it`,
  ]);
  const official = RELEASES.map(({ version, support }) => [
    version,
    support.level,
    version === DEFAULT_RELEASE ? `${support.why} (default)` : support.why,
  ]);
  return [
    "Assembled from Debian's source packages (--source NAME):",
    ...rows(debian),
    "",
    "Official OpenResty (--openresty VERSION):",
    ...rows(official),
  ];
}

function rows(cells: readonly (readonly string[])[]): string[] {
  return cells.map(
    ([name = "", level = "", why = ""]) => `  ${name.padEnd(16)} ${level.padEnd(9)} ${why}`,
  );
}
