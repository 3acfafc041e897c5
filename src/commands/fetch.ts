/** `nffi fetch`: brings an archive into the cache and verifies it; builds nothing. */
import type { Command } from "commander";
import { currentPlatform } from "../host/platform.js";
import { fetchArchive } from "../pipeline/fetch-only.js";
import { reporterFor } from "../ui/reporter-for.js";
import { allBuildOptions } from "./build-options.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { addSettingsHelp, applySettings } from "./settings.js";
import { addSourceOptions, type SourceOptions, sourceRequestOf } from "./source-options.js";

export function fetchCommand(context: CommandContext): Command {
  const command = declared("fetch");
  addSettingsHelp(command, { configures: false });
  return addSourceOptions(command, "official (as is auto here), a file or URL").action(async () => {
    await applySettings(command, context, allBuildOptions());
    const request = await sourceRequestOf(command.opts<SourceOptions>(), context);
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
