/** Loads the modules of a command: only of one that is called, since all of them take 0.3 s. */
import type { Command } from "commander";
import type { CommandContext } from "./context.js";
import { COMMAND_NAMES, type CommandName } from "./declared.js";

export interface Loading {
  readonly context: CommandContext;
  /** The arguments after `--` on the command line. */
  readonly configureArgs: readonly string[];
  /** Has every command when a completion script is printed. */
  readonly root: Command;
}

type Loader = (loading: Loading) => Promise<Command>;

const LOADERS: Readonly<Record<CommandName, Loader>> = {
  attach: async ({ context }) => (await import("./attach.js")).attachCommand(context),
  detach: async ({ context }) => (await import("./detach.js")).detachCommand(context),
  build: async ({ context, configureArgs }) =>
    (await import("./build.js")).buildCommand(context, configureArgs),
  fetch: async ({ context }) => (await import("./fetch.js")).fetchCommand(context),
  cache: async ({ context, configureArgs }) => {
    const { cacheCommand } = await import("./cache.js");
    const { cacheKeyCommand } = await import("./cache-key.js");
    return cacheCommand(context).addCommand(cacheKeyCommand(context, configureArgs));
  },
  list: async ({ context }) => (await import("./list.js")).listCommand(context),
  info: async ({ context }) => (await import("./info.js")).infoCommand(context),
  verify: async ({ context }) => (await import("./verify.js")).verifyCommand(context),
  uninstall: async ({ context }) => (await import("./uninstall.js")).uninstallCommand(context),
  doctor: async ({ context }) => (await import("./doctor.js")).doctorCommand(context),
  patch: async ({ context }) => (await import("./patch.js")).patchCommand(context),
  "new-runtime": async ({ context }) =>
    (await import("./new-runtime.js")).newRuntimeCommand(context),
  types: async ({ context }) => (await import("./types.js")).typesCommand(context),
  bench: async ({ context }) => (await import("./bench.js")).benchCommand(context),
  completion: async ({ context, root }) =>
    (await import("./completion.js")).completionCommand(context, root),
};

export function loadCommand(name: CommandName, loading: Loading): Promise<Command> {
  return LOADERS[name](loading);
}

/** The commands that a command line needs whole: `args` are the arguments of nffi before `--`. */
export function calledCommands(args: readonly string[]): readonly CommandName[] {
  const words = args.filter((arg) => !arg.startsWith("-"));
  const called = words[0] === "help" ? words[1] : words[0];
  return called === "completion" ? COMMAND_NAMES : COMMAND_NAMES.filter((name) => name === called);
}
