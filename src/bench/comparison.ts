/** All that one run of `nffi bench` measures, and the nginxes that make the calls. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { isAttached, type Manifest } from "../pipeline/manifest.js";
import type { Product } from "../pipeline/product.js";
import { titleOf } from "../pipeline/product-title.js";
import { isMissing, type Surroundings } from "./compiled.js";
import { offerRestyFfi, type RestyFfiWish } from "./resty-ffi.js";
import type { HostName, LeftOut, Subject } from "./subject.js";
import { findSubjects, LANGUAGES_COMPARED } from "./subjects.js";
import type { Host } from "./worker.js";

export interface Comparison {
  /** The product, and what it is compared with. */
  readonly titles: { readonly product: string; readonly against?: string };
  readonly hosts: Readonly<Partial<Record<HostName, Host>>>;
  readonly subjects: readonly Subject[];
  readonly leftOut: readonly LeftOut[];
}

export interface ComparisonWish {
  readonly product: Product;
  /** Its runtimes are measured beside those of `product`. */
  readonly against: Product | undefined;
  readonly restyFfi: Omit<RestyFfiWish, "attached">;
  /** Languages; all if empty. */
  readonly wanted: readonly string[];
}

export async function compareAll(
  { product, against, restyFfi, wanted }: ComparisonWish,
  surroundings: Surroundings,
): Promise<Comparison> {
  const own = { ...surroundings, prefix: product.prefix, nginx: nginxOf(product.manifest).nginx };
  const attached = [against, product].find((one) => one && isAttached(one.manifest));
  const wish = { ...restyFfi, attached: attached && nginxOf(attached.manifest) };
  // first: it refuses a wrong --resty-ffi
  const theirs = await offerRestyFfi(own, wish, wanted);
  const found = await findSubjects(own, wanted);
  const other = against && (await subjectsAgainst(product, against, surroundings, wanted));
  const missing = isMissing(theirs) ? [{ name: "lua-resty-ffi", reason: theirs.reason }] : [];
  const all = [
    ...found.subjects,
    ...(other?.subjects ?? []),
    ...(isMissing(theirs) ? [] : theirs.subjects),
  ];
  return {
    titles: {
      product: titleOf(product.manifest),
      ...(against && { against: titleOf(against.manifest) }),
    },
    hosts: {
      product: hostOf(product),
      ...(against && { against: hostOf(against) }),
      ...(!isMissing(theirs) && { "resty-ffi": theirs.host }),
    },
    subjects: all.toSorted((a, b) => rankOf(a) - rankOf(b)),
    leftOut: [...found.leftOut, ...(other?.leftOut ?? []), ...missing],
  };
}

/** "nffi attached, C"; "second nffi built, C" if both products are of the same kind. */
async function subjectsAgainst(
  product: Product,
  against: Product,
  surroundings: Surroundings,
  wanted: readonly string[],
): Promise<{ subjects: Subject[]; leftOut: LeftOut[] }> {
  const folder = join(surroundings.folder, "against");
  await mkdir(folder);
  const { prefix, manifest } = against;
  const found = await findSubjects(
    { ...surroundings, folder, prefix, nginx: nginxOf(manifest).nginx },
    wanted,
  );
  const kind = isAttached(manifest) ? "nffi attached" : "nffi built";
  const isSame = isAttached(manifest) === isAttached(product.manifest);
  const title = isSame ? `second ${kind}` : kind;
  return {
    subjects: found.subjects
      .filter(({ way }) => way === "nffi")
      .map((one) => ({ ...one, name: one.name.replace("nffi", title), host: "against" })),
    leftOut: found.leftOut.map(({ name, reason }) => ({ name: `${name}, ${title}`, reason })),
  };
}

function rankOf({ language }: Subject): number {
  return LANGUAGES_COMPARED.indexOf(language.toLowerCase());
}

function hostOf({ prefix, manifest }: Product): Host {
  return { ...nginxOf(manifest), luaFolders: [join(prefix, "lualib")] };
}

function nginxOf({ nginx }: Manifest): Pick<Host, "nginx" | "modules"> {
  if (typeof nginx === "string") return { nginx, modules: [] };
  return { nginx: nginx.path, modules: nginx.modules };
}
