import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";

function outputOf(program: string, ...args: string[]): string {
  const tool = spawnSync(`node_modules/.bin/${program}`, args, {
    cwd: repository,
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  return tool.status === 0 ? "" : `${tool.stdout}${tool.stderr}`;
}

test("the formatter and the linter find nothing", () => {
  expect(outputOf("biome", "check", "--error-on-warnings", "--colors=off", ".")).toBe("");
});

test("the types of sources and tests hold", () => {
  expect(outputOf("tsc", "-p", "tsconfig.test.json")).toBe("");
});
