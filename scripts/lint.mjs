// `npm run lint`: runs every linter, or those that are named: npm run lint -- luacheck ruff
// Exits with 1 on findings and with 4 if a tool is missing; prints what to install.

import { linters } from "./lint/linters.mjs";
import { findTool } from "./lint/tools.mjs";

process.chdir(new URL("..", import.meta.url).pathname);

const MISSING_TOOL = 4;
const names = process.argv.slice(2);
const unknown = names.filter((name) => !linters.some((linter) => linter.name === name));
if (unknown.length > 0) {
  console.error(`unknown linter ${unknown.join(", ")}`);
  console.error(`choose from: ${linters.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}

for (const linter of linters) {
  if (names.length > 0 && !names.includes(linter.name)) continue;
  process.exitCode = (await run(linter)) || process.exitCode;
}

/** The exit code of one linter. */
async function run({ name, tools, needs, check }) {
  const skipped = needs?.() ?? "";
  if (skipped !== "") {
    console.log(`${name}: skipped: ${skipped}`);
    return 0;
  }
  const found = {};
  for (const tool of tools) {
    found[tool] = await findTool(tool);
    if (found[tool].hint) {
      console.error(`${name}: missing ${tool}: ${found[tool].hint}`);
      return MISSING_TOOL;
    }
  }
  const output = (await check((tool) => found[tool].path)).trim();
  console.log(output === "" ? `${name}: ok` : `${name}:\n${output}`);
  return output === "" ? 0 : 1;
}
