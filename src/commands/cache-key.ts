/** `nffi cache key`: the hash of all that a build would depend on, a key for caches of others. */
import { Command } from "commander";
import { shipped } from "../host/package.js";
import { currentPlatform } from "../host/platform.js";
import { inputsOf } from "../pipeline/inputs.js";
import { chooseSource } from "../pipeline/steps/resolve.js";
import {
  addBuildOptions,
  allBuildOptions,
  type BuildOptions,
  buildRequestOf,
} from "./build-options.js";
import type { CommandContext } from "./context.js";
import { addSettingsHelp, applySettings } from "./settings.js";

/** `configureArgs` is what stands after `--` on the command line. */
export function cacheKeyCommand(
  context: CommandContext,
  configureArgs: readonly string[],
): Command {
  const command = new Command("key")
    .description("print the hash of all inputs of a build: a key for the cache of a CI system")
    .usage("[options of nffi build] [-- options for configure]");
  addSettingsHelp(command, { configures: true });
  return addBuildOptions(command)
    .option("--parts", "print the hash or the name of each input as JSON")
    .action(async () => {
      const { configure } = await applySettings(command, context, allBuildOptions());
      const { env } = context;
      const platform = currentPlatform();
      const options: BuildOptions & { parts?: boolean } = command.opts();
      const args = [...configure, ...configureArgs];
      const request = await buildRequestOf(options, args, platform.cpus, context);
      const source = await chooseSource(request, env);
      const inputs = await inputsOf(source, request, { env, shipped, platform });
      const whole = JSON.stringify({ format: 1, ...inputs }, null, 2);
      context.print(options.parts ? whole : inputs.key);
    });
}
