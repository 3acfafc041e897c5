// The tarball of `npm pack` works from an empty folder, with no repository around it, and so does
// a build from a release archive that is downloaded.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { sha256OfFile } from "../../src/io/files.js";
import {
  assembleDebianTree,
  fetchDebianSources,
  resolveDebianSuite,
} from "../../src/sources/debian/debian-source.js";
import { repository, runProgram } from "../support/cli.js";
import { answers, httpServer } from "../support/http-server.js";
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
  const npx = await runProgram(
    "npx",
    ["--yes", "--package", join(folder, tarball), "nffi", "build", ...(await sourceByUrl(folder))],
    {
      cwd: empty,
      env: { ...quiet, XDG_CACHE_HOME: join(folder, "cache"), NFFI_PREFIX: undefined },
    },
  );
  expect(npx.stderr).toBe("");
  expect(npx.stdout).toContain("SHA-256 given with --sha256");
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

/** A release archive made of Debian's sources, served by HTTP: what --source URL is to build. */
async function sourceByUrl(folder: string): Promise<string[]> {
  const cacheDir = join(repository, ".nffi/test", anySuite, "work/download");
  const fetched = await fetchDebianSources(await resolveDebianSuite(anySuite), { cacheDir });
  const { root, suite } = await assembleDebianTree(fetched, { into: folder });
  const archive = join(folder, "openresty.tar.gz");
  execFileSync("tar", ["-czf", archive, "-C", folder, basename(root)]);
  const server = await httpServer(answers.whole(readFileSync(archive)));
  const url = `${server}/openresty.tar.gz`;
  return ["--source", url, "--sha256", await sha256OfFile(archive), "--", ...suite.configureArgs];
}
