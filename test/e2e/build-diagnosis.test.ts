// How nffi reports a failed compiler or configure, on a terminal and in GitHub Actions.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCli } from "../support/cli.js";
import { makeFakeRelease, WITHOUT_JAVA } from "../support/fake-release.js";
import { temporaryFolder } from "../support/temporary.js";

const MAKEFILE = `all:
\t@for i in 1 2 3 4 5 6 7 8 9; do echo "cc -c $$i.c"; done
\t@echo "ssl.c:7:10: fatal error: openssl/ssl.h: No such file or directory"
\t@for i in \`seq 100\`; do echo "something else $$i"; done; exit 2
`;

function failingBuild(release: { makefile?: string; configure?: string }) {
  const folder = temporaryFolder();
  const tree = makeFakeRelease(join(folder, "tree"), release);
  const folders = ["--prefix", join(folder, "prefix"), "--work-dir", join(folder, "work")];
  return { folder, args: ["build", "--source", tree, ...folders] };
}

test("the first error, its surroundings, the log and the package that is missing", async () => {
  const { args, folder } = failingBuild({ makefile: MAKEFILE });
  const env = { ...WITHOUT_JAVA, GITHUB_ACTIONS: undefined };
  const { stderr, exitCode } = await runCli(args, { env });
  expect(exitCode).toBe(11);
  expect(stderr).toContain("| ssl.c:7:10: fatal error: openssl/ssl.h");
  expect(stderr).toContain("| cc -c 9.c");
  expect(stderr).not.toContain("something else 50");
  expect(stderr).toContain(`log:  ${folder}/work/logs/09-make.log`);
  expect(stderr).toMatch(/likely cure: .*(libssl-dev|openssl)/);
});

test("a configure that cannot run its own programs gets the hint for noexec", async () => {
  const { args } = failingBuild({
    configure: "echo 'x: /tmp/conftest: Permission denied'; exit 1",
  });
  const { stderr } = await runCli(args, { env: WITHOUT_JAVA });
  expect(stderr).toMatch(/likely cure: .*noexec/);
});

test("GitHub Actions get groups, an annotation and a summary", async () => {
  const { args, folder } = failingBuild({ makefile: MAKEFILE });
  const summary = join(folder, "summary.md");
  const env = { ...WITHOUT_JAVA, GITHUB_ACTIONS: "true", GITHUB_STEP_SUMMARY: summary };
  const { stdout } = await runCli(args, { env });
  expect(stdout).toContain("::group::compile OpenResty\n");
  expect(stdout).toMatch(/^::error title=nffi%3A compile OpenResty::.*openssl\/ssl\.h/m);
  expect(readFileSync(summary, "utf8")).toContain("fatal error: openssl/ssl.h");
});

test("a full disk is named as the cause", async ({ skip }) => {
  const { args, folder } = failingBuild({});
  const disk = join(folder, "disk");
  mkdirSync(disk);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1200k", "tmpfs", disk]);
  if (mounted.status !== 0) skip("this user may not mount a small disk");
  try {
    const { stderr, exitCode } = await runCli([...args, "--work-dir", join(disk, "work")]);
    expect(exitCode).toBe(11);
    // make says it, or nffi when not even the log fits
    expect(stderr).toMatch(/no space left on device/i);
    expect(stderr).toContain("likely cure: the disk is full");
    const work = join(disk, "other");
    const debian = ["build", "--source", "debian", "--prefix", join(folder, "of-debian")];
    const fetched = await runCli([...debian, "--work-dir", work], {
      env: { XDG_CACHE_HOME: join(disk, "cache") },
    });
    expect(fetched.exitCode).toBe(6);
    expect(fetched.stderr).toContain("not enough space on the disk of");
  } finally {
    spawnSync("umount", [disk]);
  }
});
