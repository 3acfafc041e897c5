/**
 * A build from the wish for a release to the product in the prefix. Each step takes the type that
 * the one before it has made, so none can be left out or change places.
 */
import { readSeries } from "./patch-series.js";
import type { BuildRequest, Session } from "./request.js";
import { openSite } from "./site.js";
import { stepRunner } from "./step.js";
import { configureTree } from "./steps/configure.js";
import { extractSource } from "./steps/extract.js";
import { fetchSource } from "./steps/fetch.js";
import { type InstalledProduct, installProduct } from "./steps/install.js";
import { installFiles } from "./steps/install-files.js";
import { buildLibrary } from "./steps/library.js";
import { makeTree } from "./steps/make.js";
import { stageProduct } from "./steps/make-install.js";
import { patchTree } from "./steps/patch.js";
import { proveProduct } from "./steps/prove.js";
import { resolveSource } from "./steps/resolve.js";
import { verifySource } from "./steps/verify.js";

export async function build(request: BuildRequest, session: Session): Promise<InstalledProduct> {
  const site = await openSite(request);
  const { shipped } = session;
  const step = stepRunner({ ...session, logDir: site.logDir });
  let succeeded = false;
  try {
    const series = await readSeries(shipped.patches, request.patches);
    const source = await step("resolve", (s) => resolveSource(request, session, s));
    const fetched = await step("fetch", (s) => fetchSource(source, request, site, s));
    const verified = await step("verify", (s) => verifySource(fetched, request.trust, s));
    const tree = await step("extract", (s) => extractSource(verified, series.key, site, s));
    const patched = await step("patch", (s) => patchTree(tree, series, s));
    const complete = await step("install files", (s) => installFiles(patched, shipped, s));
    const library = await step("library", (s) => buildLibrary(request, shipped, site, s));
    const configured = await step("configure", (s) =>
      configureTree(complete, library, request, site, s),
    );
    const made = await step("make", (s) => makeTree(configured, request, s));
    const staged = await step("make install", (s) => stageProduct(made, shipped, site, s));
    const proven = await step("prove", (s) => proveProduct(staged, site, s));
    const product = await step("install", (s) => installProduct(proven, site, s));
    succeeded = true;
    return product;
  } finally {
    await session.reporter.close();
    await site.close({ keep: request.keep, succeeded });
  }
}
