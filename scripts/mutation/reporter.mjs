// A reporter of StrykerJS that appends one line for each mutant, so that a run that is ended by the
// time limit has a result as well.
import { appendFileSync } from "node:fs";
import { relative } from "node:path";
import { declareFactoryPlugin, PluginKind } from "@stryker-mutator/api/plugin";

function createReporter() {
  return {
    onMutantTested({ status, fileName, location, mutatorName, replacement }) {
      const file = relative(process.cwd(), fileName);
      const where = `${location.start.line}:${location.start.column}`;
      const line = { status, file, where, mutator: mutatorName, replacement: short(replacement) };
      appendFileSync(process.env.NFFI_MUTATION_RESULTS, `${JSON.stringify(line)}\n`);
    },
  };
}
createReporter.inject = [];

function short(text = "") {
  const line = text.replace(/\s+/g, " ");
  return line.length > 60 ? `${line.slice(0, 60)}...` : line;
}

export const strykerPlugins = [declareFactoryPlugin(PluginKind.Reporter, "lines", createReporter)];
