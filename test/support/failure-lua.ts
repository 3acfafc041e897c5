// failure.lua of the examples, for the nginx of a test: the READMEs require it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./cli.js";

/** For `files` of an nginx. */
export const failureLua: Readonly<Record<string, string>> = {
  "failure.lua": readFileSync(join(repository, "examples/failure.lua"), "utf8"),
};

/** For its `http`, where the README has no such line. */
export const packagePath = 'lua_package_path "@DIR@/?.lua;;";';

/** The line of a README with the directory of the test. */
export function withPackagePath(http: string): string {
  return http.replace('lua_package_path "/path/to/examples/?.lua;;";', packagePath);
}
