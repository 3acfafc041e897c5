/**
 * Moves the proven product into the prefix, all of it or nothing. The prefix' nginx/conf,
 * nginx/html and logs belong to the user after the first install and are never changed. With
 * SOURCE_DATE_EPOCH every file has that time, so that archives of two builds are equal.
 */
import { join } from "node:path";
import { makeFolders } from "../../io/files.js";
import { type BuiltManifest, countOfOwn, usersFoldersIn } from "../manifest.js";
import { replaceProduct } from "../replace-product.js";
import type { Site } from "../site.js";
import type { StepContext } from "../step.js";
import type { ProvenProduct } from "./prove.js";

export interface InstalledProduct {
  readonly prefix: string;
  readonly manifest: BuiltManifest;
}

export async function installProduct(
  product: ProvenProduct,
  site: Pick<Site, "prefix">,
  step: StepContext,
  options: { readonly overwriteForeign: boolean } = { overwriteForeign: false },
): Promise<InstalledProduct> {
  const { prefix } = site;
  const { manifest } = product;
  await replaceProduct(prefix, product, step, options);
  if (!(await usersFoldersIn(prefix)).includes("nginx/logs")) {
    await makeFolders(join(prefix, "nginx/logs"), 0o755);
  }
  step.note(`${countOfOwn(manifest)} files in ${prefix}`);
  return { prefix, manifest };
}
