/** `nffi fetch`: brings an archive into the cache and verifies it; builds nothing. */
import { Command } from "commander";
import { fetchArchive } from "../build/fetch-only.js";
import { currentPlatform } from "../host/platform.js";
import { reporterFor } from "../ui/reporter-for.js";
import type { CommandContext } from "./context.js";
import { addSourceOptions, type SourceOptions, sourceRequestOf } from "./source-options.js";

export function fetchCommand(context: CommandContext): Command {
  const command = new Command("fetch").description(
    "fetch and verify a source archive, and tell where it lies",
  );
  return addSourceOptions(command).action(async (options: SourceOptions) => {
    const request = await sourceRequestOf(options, context);
    const { archive, path } = await fetchArchive(request, {
      reporter: reporterFor(context, { verbose: false }),
      signal: context.signal,
      env: context.env,
      platform: currentPlatform(),
    });
    context.print(`sha256 ${archive.sha256}`);
    context.print(`file   ${path}`);
  });
}
