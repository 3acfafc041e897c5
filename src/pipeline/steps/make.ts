/** Compiles OpenResty. */
import type { BuildRequest } from "../request.js";
import type { StepContext } from "../step.js";
import type { ConfiguredTree } from "./configure.js";

declare const made: unique symbol;

export type MadeTree = ConfiguredTree & { readonly [made]: true };

export async function makeTree(
  tree: ConfiguredTree,
  request: BuildRequest,
  step: StepContext,
): Promise<MadeTree> {
  await step.mustRun(
    { program: "make", args: [`-j${request.jobs}`], cwd: tree.dir, env: tree.env },
    "compile-failed",
    "OpenResty cannot be compiled",
  );
  return tree as MadeTree;
}
