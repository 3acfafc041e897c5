// `nffi build --dry-run` prints the plan, and a build then follows it.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RELEASES } from "../../src/catalog/releases.js";
import { runCli } from "../support/cli.js";
import { makeFakeRelease } from "../support/fake-release.js";
import { temporaryFolder } from "../support/temporary.js";

function folders() {
  const folder = temporaryFolder();
  const prefix = join(folder, "prefix");
  const work = join(folder, "work");
  return { folder, prefix, work, args: ["--prefix", prefix, "--work-dir", work, "--jobs", "3"] };
}

test("names URL, hash, patches and commands, hides secrets, and leaves nothing", async () => {
  const { args, prefix, work } = folders();
  const mirror = ["--mirror", "http://me:s3cret@127.0.0.1:1/x", "--openresty", "1.27.1.2"];
  const options = [...args, ...mirror, "--with-debug", "--", "--with-mine"];
  const result = await runCli(["build", "--dry-run", ...options]);
  expect(result.stderr).toBe("");
  expect(result.stdout).toContain("127.0.0.1:1/x/openresty-1.27.1.2.tar.gz");
  expect(result.stdout).not.toContain("s3cret");
  const known = RELEASES.find(({ version }) => version === "1.27.1.2");
  expect(result.stdout).toContain(`sha256  ${known?.sha256}`);
  expect(result.stdout).toContain("nginx: 0003-nginx-thread-pool-post-done.patch\n");
  expect(result.stdout).toContain("0004-lua-cjson-bound-lengths.patch (before 2.1.0.13)\n");
  const linked = "'--with-ld-opt=-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack'";
  const told = `--prefix=${prefix} --with-threads ${linked} --with-debug --with-mine`;
  expect(result.stdout).toContain(`./configure -j3 ${told}\n`);
  for (const path of [prefix, work]) expect(existsSync(path)).toBe(false);
});

test("with --quiet it prints nothing, as git and cargo do, and fails where the build would", async () => {
  const folder = temporaryFolder();
  const tree = makeFakeRelease(join(folder, "tree"));
  const places = ["--prefix", join(folder, "prefix"), "--work-dir", join(folder, "work")];
  const dry = ["build", ...places, "--quiet", "--dry-run", "--source"];
  expect(await runCli([...dry, tree])).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
  expect((await runCli([...dry, "no/such"])).exitCode).toBe(2);
});

test("the commands are the same as in the build", async () => {
  const { args, folder, work } = folders();
  const tree = makeFakeRelease(join(folder, "tree"));
  const own = ["build", "--source", tree, ...args];
  const plan = JSON.parse((await runCli([...own, "--dry-run", "--json"])).stdout);
  expect(plan).toMatchObject({ format: 1, source: tree, downloads: [] });
  await runCli(own);
  const logs = ["07-library", "08-configure", "09-make", "10-make-install"]
    .map((name) => readFileSync(join(work, "logs", `${name}.log`), "utf8"))
    .join("");
  expect(plan.commands).toHaveLength(5);
  for (const { argv } of plan.commands) expect(logs).toContain(`$ ${argv.join(" ")}\n`);
});

test("of Debian's sources lists the archive and the source packages", async () => {
  const { args } = folders();
  const result = await runCli(["build", "--dry-run", "--source", "debian", ...args]);
  expect(result.stdout).toMatch(/^download {2}https?:\S+ \(nginx, /m);
});
