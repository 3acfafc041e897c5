// Before the end-to-end tests: dist/ is what the CLI and the product are made of, so it is compiled
// from the sources as they are now: once for all projects, and not after scripts/test.mjs has.
import { execFileSync } from "node:child_process";
import { repository } from "./cli.js";

/** Set by scripts/test.mjs, too. */
const COMPILED = "NFFI_TEST_COMPILED";

export default function setup(): void {
  if (process.env[COMPILED]) return;
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"], {
    cwd: repository,
    stdio: "inherit",
  });
  process.env[COMPILED] = "1";
}
