/** `nffi types`: a module of handlers -> their types for a Lua editor. */
import { join, relative } from "node:path";
import type { Command } from "commander";
import { NffiError } from "../errors.js";
import { shipped } from "../host/package.js";
import { makeStub, type TypesStub, writeStub } from "../types/write-types.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";

interface TypesOptions {
  output?: string;
  name?: string;
  check?: boolean;
  json?: boolean;
}

export function typesCommand(context: CommandContext): Command {
  return declared("types")
    .argument("<module>", "the file whose exports are the handlers, such as src/handlers.ts")
    .option("--output <file>", "the stub (default: NAME.d.lua beside the module; -: print it)")
    .option("--name <class>", "the name of the class (default: from the name of the module)")
    .option("--check", "write nothing; fail if the stub is not what would be written")
    .option("--json", "print the result as one JSON object")
    .action(async (module: string, options: TypesOptions) => {
      const prints = options.output === "-";
      if (prints && (options.check || options.json)) {
        throw new NffiError("usage", "--output - cannot be combined with --check or --json");
      }
      const stub = await makeStub({
        module,
        output: prints ? undefined : options.output,
        className: options.name,
        cwd: context.cwd,
        runtimeTypes: join(shipped.nodeRuntime, "handler.d.ts"),
      });
      if (prints) return context.print(stub.text.trimEnd());
      if (!options.check) await writeStub(stub);
      for (const line of linesFor(stub, options, context.cwd)) context.print(line);
      if (options.check && !stub.isCurrent) throw stale(stub, module, context.cwd);
    });
}

function linesFor(stub: TypesStub, options: TypesOptions, cwd: string): string[] {
  const { file, className, methods, streams, isCurrent } = stub;
  if (options.json) {
    const written = !options.check && !isCurrent;
    return [
      JSON.stringify({ file, class: className, methods, streams, current: isCurrent, written }),
    ];
  }
  const place = relative(cwd, file);
  if (isCurrent) return [`${place} is current (class ${className})`];
  return options.check
    ? []
    : [
        `wrote ${place} (class ${className}, ${methods.length} ${methods.length === 1 ? "method" : "methods"})`,
      ];
}

function stale({ file }: TypesStub, module: string, cwd: string): NffiError {
  const place = relative(cwd, file);
  return new NffiError("types-stale", `${place} is outdated: ${module} has changed`, {
    hint: `run \`nffi types ${module}\` with the same options, without --check`,
  });
}
