/**
 * The name and the one line of each command, in the order of the help: all that `nffi --help` shows
 * of it. This file imports no command, so the help is fast.
 */
import { Command } from "commander";

export const DESCRIPTIONS = {
  attach: "add nffi to an installed nginx, without a rebuild",
  detach: "remove what `nffi attach` has installed; nginx itself is not touched",
  build: "build an OpenResty that calls TypeScript, Go, Rust, Python, Java and C without blocking",
  fetch: "download and verify a source archive, and print its path",
  cache: "list, verify and remove downloads and build directories",
  list: "list the releases that can be built and what was built",
  info: "describe a product and how to compile and link against it",
  verify: "check a product, built or attached: the hashes of its files, and that it answers a call",
  uninstall: "remove a product: what nffi installed; configuration, logs and the rest stay",
  doctor: "check whether this machine can run `nffi build`, and list what is missing",
  patch: "check whether the patches apply to a source tree of OpenResty; writes nothing",
  "new-runtime": "make a project: a runtime, nginx.conf, tests",
  types: "write the types of TypeScript handlers for a Lua editor (LuaLS annotations)",
  bench: "measure calls on this machine, with nffi and its alternatives",
  completion: "print a completion script: source <(nffi completion bash)",
} as const;

export type CommandName = keyof typeof DESCRIPTIONS;

export const COMMAND_NAMES = Object.keys(DESCRIPTIONS) as readonly CommandName[];

/** A command without options and action. */
export function declared(name: CommandName): Command {
  return new Command(name).description(DESCRIPTIONS[name]);
}
