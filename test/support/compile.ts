// Before the end-to-end tests: dist/ is what the CLI and the product are made of, so it is compiled
// from the sources as they are now.
import { execFileSync } from "node:child_process";
import { repository } from "./cli.js";

export default function setup(): void {
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"], {
    cwd: repository,
    stdio: "inherit",
  });
}
