// The tarball of `npm pack` works from an empty folder, with no repository around it.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runProgram } from "../support/cli.js";
import { withNginx } from "../support/nginx.js";
import { anySuite } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

const quiet = { npm_config_loglevel: "error" };

test("holds what a build needs and nothing else, and builds from an empty folder", async () => {
  const folder = temporaryFolder();
  await runProgram("npm", ["pack", "--pack-destination", folder], { env: quiet });
  const [tarball = ""] = readdirSync(folder);
  expect(tarball).toMatch(/^nffi-\d+\.\d+\.\d+\.tgz$/);

  const listed = execFileSync("tar", ["-tzf", join(folder, tarball)], { encoding: "utf8" });
  const files = listed.trim().split("\n");
  const top = new Set(files.map((file) => file.split("/")[1]));
  const optional = ["README.md", "CHANGELOG.md"];
  expect([...top].filter((name) => !optional.includes(name ?? "")).sort()).toEqual(
    ["LICENSE", "bin", "c-src", "dist", "lua", "package.json", "patches", "templates"].sort(),
  );
  expect(
    files.filter((file) => /node_modules|c-src\/(test|build)\/|\.tsbuildinfo$/.test(file)),
  ).toEqual([]);

  const empty = join(folder, "empty");
  mkdirSync(empty);
  const build = ["nffi", "build", "--source", `debian:${anySuite}`];
  const npx = await runProgram("npx", ["--yes", "--package", join(folder, tarball), ...build], {
    cwd: empty,
    env: { ...quiet, XDG_CACHE_HOME: join(folder, "cache"), NFFI_PREFIX: undefined },
  });
  expect(npx.stderr).toBe("");
  expect(npx.exitCode).toBe(0);
  expect(readdirSync(empty)).toEqual([".nffi"]);
  expect(readdirSync(join(folder, "cache/nffi/work"))).toHaveLength(1);

  const prefix = join(empty, ".nffi/openresty");
  const server = `location / { content_by_lua_block {
    local echo = ngx.load_nonblocking_ffi("${prefix}/nffi/lib/libnffi_echo.so", "")
    ngx.print(select(2, echo:echo("packed")))
  } }`;
  await withNginx({ prefix, server }, async (nginx) => {
    expect(await nginx.get("/")).toBe("packed");
  });
}, 900_000);
