/** Writes the bill of materials of the staging directory beside its manifest. */
import { join } from "node:path";
import { type Environment, sourceDate } from "../host/environment.js";
import { npmPackagesOfProduct, version } from "../host/package.js";
import { writeFileWhole } from "../io/files.js";
import type { AddedSources } from "./added-sources.js";
import { contentOf } from "./manifest.js";
import { SBOM_FILE, sbomText } from "./sbom.js";
import type { Site } from "./site.js";
import type { MadeTree } from "./steps/make.js";

/** To be called when everything else but the manifest is there, which lists it like any file. */
export async function stageSbom(
  tree: MadeTree,
  added: AddedSources,
  site: Site,
  env: Environment,
): Promise<void> {
  const { files } = await contentOf(site.stagedPrefix);
  const text = sbomText({
    nffi: version,
    source: tree.identity,
    components: tree.components,
    patches: tree.series.patches,
    added,
    npmPackages: npmPackagesOfProduct(),
    files,
    date: sourceDate(env),
  });
  await writeFileWhole(join(site.stagedPrefix, SBOM_FILE), text);
}
