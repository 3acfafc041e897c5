/**
 * A build from the wish for a release to the product in the prefix. Each step takes the type that
 * the one before it has made, so none can be left out or change places.
 */

import { findJdk } from "../host/jdk.js";
import type { Source } from "../sources/source.js";
import { compilationOf, standInForCompiler } from "./compilation.js";
import { type BuildInputs, identityOfSuite, withSource } from "./inputs.js";
import { readSeries } from "./patch-series.js";
import { requireOwnPrefix } from "./prefix.js";
import type { BuildRequest, Session } from "./request.js";
import { openSite } from "./site.js";
import { stepRunner } from "./step.js";
import { configureTree } from "./steps/configure.js";
import { extractSource } from "./steps/extract.js";
import { fetchSource } from "./steps/fetch.js";
import { installProduct } from "./steps/install.js";
import { installFiles } from "./steps/install-files.js";
import { buildLibrary } from "./steps/library.js";
import { makeTree } from "./steps/make.js";
import { stageProduct } from "./steps/make-install.js";
import { patchTree } from "./steps/patch.js";
import { proveProduct } from "./steps/prove.js";
import { describe, resolveSource } from "./steps/resolve.js";
import { type VerifiedSource, verifySource } from "./steps/verify.js";
import { type BuildOutcome, standingOf, suffices } from "./unchanged.js";

/** `reason`: in a few words, why an existing product is not enough. */
export async function buildAnew(
  request: BuildRequest,
  session: Session,
  wanted: BuildInputs,
  reason: string | undefined,
): Promise<BuildOutcome> {
  await requireOwnPrefix(request.prefix, request);
  const site = await openSite(request);
  const { shipped, env } = session;
  const step = stepRunner({ ...session, logDir: site.logDir });
  let succeeded = false;
  try {
    const series = await readSeries(shipped.patches, request.patches);
    const source = await step("resolve", async (s) => {
      const resolved = await resolveSource(request, session, s);
      if (reason) s.note(`${describe(resolved)}; ${reason}`);
      return resolved;
    });
    const fetched = await step("fetch", (s) => fetchSource(source, request, site, s));
    const verified = await step("verify", (s) => verifySource(fetched, request.trust, s));
    const inputs = inputsOfTaken(wanted, source, verified);
    if (inputs !== wanted && !request.force) {
      const standing = await standingOf(site.prefix, inputs);
      if (standing.kind === "unchanged" && suffices(standing.product, request)) {
        return { ...standing.product, unchanged: true };
      }
    }
    const tree = await step("extract", (s) => extractSource(verified, series.key, site, s));
    const patched = await step("patch", (s) => patchTree(tree, series, s));
    const complete = await step("install files", (s) => installFiles(patched, shipped, s));
    const library = await step("library", async (s) => {
      const ccache = await standInForCompiler(site, env);
      if (ccache) s.note("compiling with ccache");
      const compilation = compilationOf(request, shipped, site, env, await findJdk(env), ccache);
      return buildLibrary(request, compilation, shipped, site, s);
    });
    const configured = await step("configure", (s) =>
      configureTree(complete, library, request, site, s),
    );
    const made = await step("make", (s) => makeTree(configured, request, s));
    const staged = await step("make install", (s) =>
      stageProduct(made, library.compilation, inputs, request, shipped, site, s),
    );
    const proven = await step("prove", (s) => proveProduct(staged, site, s));
    const product = await step("install", (s) => installProduct(proven, site, s, request));
    succeeded = true;
    return { ...product, unchanged: false };
  } finally {
    await site.close({ succeeded });
  }
}

/**
 * Debian's sources are used if the official download fails and the user did not request a release.
 */
function inputsOfTaken(wanted: BuildInputs, source: Source, taken: VerifiedSource): BuildInputs {
  if (taken.kind !== "debian" || source.kind === "debian") return wanted;
  return withSource(wanted, identityOfSuite(taken.sources.suite.name));
}
