/** `nffi patch --check DIR`: whether a source tree takes the patches; nothing is written. */
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { NffiError } from "../errors.js";
import { shipped } from "../host/package.js";
import { kindOf } from "../io/files.js";
import { listComponents } from "../pipeline/components.js";
import { type PlannedFile, planPatches } from "../pipeline/patch-plan.js";
import { readSeries } from "../pipeline/patch-series.js";
import { table } from "../ui/table.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { collect } from "./source-options.js";

interface PatchOptions {
  check: string;
  patch?: string[];
}

export function patchCommand(context: CommandContext): Command {
  return declared("patch")
    .requiredOption("--check <dir>", "the tree, with the directory bundle/")
    .option("--patch <file>", "check this patch in addition; may be repeated", collect)
    .action(async (options: PatchOptions) => {
      const dir = resolve(context.cwd, options.check);
      if ((await kindOf(join(dir, "bundle"), { follow: true })) !== "directory") {
        throw new NffiError("usage", `${dir} is not a source of OpenResty: it has no "bundle"`, {
          hint: "pass the directory to which a release archive unpacks",
        });
      }
      const own = (options.patch ?? []).map((file) => resolve(context.cwd, file));
      const series = await readSeries(shipped.patches, own);
      const plan = await planPatches({ dir, components: await listComponents(dir) }, series, {});
      const rows = plan.files.map(({ outcome, patch, where }) => [outcome, patch, where]);
      for (const line of table(rows)) context.print(line);
      requireAllFit(plan.files, dir);
    });
}

function requireAllFit(files: readonly PlannedFile[], dir: string): void {
  const failures = files.flatMap(({ failure }) => (failure ? [failure] : []));
  const [first] = failures;
  if (!first) return;
  if (failures.length === 1) throw first;
  throw new NffiError("patch-failed", `${failures.length} files of ${dir} do not take a patch`, {
    hint: failures.map(({ message, hint }) => `${message}\n${hint ?? ""}`.trim()).join("\n"),
  });
}
