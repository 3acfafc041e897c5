/** One build: compares what is installed with what would be built, and runs the steps if needed. */
import { inputsOf } from "./inputs.js";
import type { BuildRequest, Session } from "./request.js";
import { chooseSource } from "./steps/resolve.js";
import { type BuildOutcome, reasonOf, standingOf, suffices } from "./unchanged.js";

export async function build(request: BuildRequest, session: Session): Promise<BuildOutcome> {
  try {
    const inputs = await inputsOf(await chooseSource(request, session.env), request, session);
    const standing = await standingOf(request.prefix, inputs);
    if (standing.kind === "unchanged" && !request.force && suffices(standing.product, request)) {
      return { ...standing.product, unchanged: true };
    }
    // most of the code, which a build that has nothing to do does not need
    const { buildAnew } = await import("./pipeline.js");
    return await buildAnew(request, session, inputs, reasonOf(standing));
  } finally {
    await session.reporter.close();
  }
}
