// What `nffi build` makes of signatures, and of the wish to do without. The signer of official
// releases is pinned, so no key of a test is valid here: see
// test/unit/io/signature.test.ts.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCli } from "../support/cli.js";
import { makeFakeRelease, WITHOUT_JAVA } from "../support/fake-release.js";
import { answers, httpServer } from "../support/http-server.js";
import { makeSigner, sign, writeKeyring } from "../support/pgp.js";
import { temporaryFolder } from "../support/temporary.js";

/** An archive whose configure fails, with a signature of a stranger. */
async function makePlace() {
  const folder = temporaryFolder();
  makeFakeRelease(join(folder, "openresty-9.9.9.9"), { configure: "exit 7" });
  const archive = join(folder, "own.tar.gz");
  execFileSync("tar", ["-czf", archive, "-C", folder, "openresty-9.9.9.9"]);
  const stranger = await makeSigner();
  writeFileSync(`${archive}.asc`, await sign(readFileSync(archive), stranger));
  const keyring = writeKeyring(folder, stranger.key);
  const prefix = join(folder, "prefix");
  const build = (...args: string[]) =>
    runCli(["build", "--prefix", prefix, "--work-dir", join(folder, "work"), ...args], {
      env: {
        ...{ ...WITHOUT_JAVA, CI: "true", http_proxy: undefined },
        ...{ XDG_CACHE_HOME: folder, XDG_STATE_HOME: folder },
      },
    });
  return { folder, archive, keyring, prefix, build };
}

test("a keyring without the key of OpenResty's releases is refused", async () => {
  const { archive, keyring, prefix, build } = await makePlace();
  const result = await build("--source", archive, "--keyring", keyring);
  expect(result.stderr).toContain("lacks the key of the signer");
  expect(result.stderr).toContain("25451EB088460026195BD62CB550E09EA0E98066");
  expect(result.exitCode).toBe(7);
  expect(existsSync(prefix)).toBe(false);
});

test("without verification builds what it gets, and says so", async () => {
  const { archive, folder, build } = await makePlace();
  const mirror = await httpServer(answers.whole(readFileSync(archive)));
  for (const version of ["1.27.1.2", "9.9.9.9"]) {
    const official = ["--openresty", version, "--mirror", mirror];
    const result = await build(...official, "--insecure-skip-verification");
    expect(result.stdout).toContain("is NOT verified: --insecure-skip-verification was given");
    expect(result.stdout).toContain(
      "verify the source: nothing: --insecure-skip-verification was given",
    );
    expect(result.exitCode).toBe(11);
  }
  // An unverified file is not kept, so that a request for a verified file never finds it.
  const { stdout } = await runCli(["cache", "list"], { env: { XDG_CACHE_HOME: folder } });
  expect(stdout).toMatch(/^no archives in /);
  const careful = await build("--openresty", "1.27.1.2", "--mirror", mirror);
  expect(careful.exitCode).toBe(7);
});

test.each([
  [["--insecure-skip-verification", "--sha256", "0".repeat(64)], "does not go with --sha256"],
  [["--insecure-skip-verification", "--keyring", "k"], "does not go with --keyring"],
  [["--source", "debian", "--keyring", "k"], "--keyring does not go with"],
  [["--source", "/etc", "--keyring", "k"], "--keyring does not go with a directory"],
])("%j is a contradiction", async (args, says) => {
  const { build } = await makePlace();
  const result = await build(...args);
  expect(result.stderr).toContain(says);
  expect(result.exitCode).toBe(2);
});
