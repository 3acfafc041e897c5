// What `nffi build` does with bad input: one clear message, its exit code, no stack trace, and
// nothing left behind. The real CLI is run; servers, archives and source trees are the test's own.
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sha256OfFile } from "../../src/io/files.js";
import { type CliOptions, type CliResult, repository, runCli } from "../support/cli.js";
import { type FakeRelease, makeFakeRelease, WITHOUT_JAVA } from "../support/fake-release.js";
import { answers, httpServer } from "../support/http-server.js";
import { copyPackage } from "../support/package-copy.js";
import { familyOf, stillThereAfter } from "../support/processes.js";
import { temporaryFolder } from "../support/temporary.js";

interface Place {
  readonly folder: string;
  readonly prefix: string;
  readonly workDir: string;
  build(args: readonly string[], options?: CliOptions): Promise<CliResult>;
}

function place(): Place {
  const folder = temporaryFolder();
  const prefix = join(folder, "made/prefix");
  const workDir = join(folder, "work");
  const own = ["build", "--prefix", prefix, "--work-dir", workDir, "--retries", "0"];
  // In CI nothing falls back on another source, and the machine's own settings do not matter.
  const env = {
    ...WITHOUT_JAVA,
    CI: "true",
    NFFI_PREFIX: undefined,
    XDG_STATE_HOME: join(folder, "state"),
    XDG_CACHE_HOME: join(folder, "cache"),
  };
  return {
    folder,
    prefix,
    workDir,
    build: (args, options = {}) =>
      runCli([...own, ...args], { ...options, env: { ...env, ...options.env } }),
  };
}

/** One message, no stack trace, no prefix, and only mark and logs in the build directory. */
function expectRefusal(
  at: Place,
  result: CliResult,
  exitCode: number,
  ...says: (string | RegExp)[]
): void {
  expect(result.stderr).toMatch(/^nffi: /);
  for (const words of says) {
    if (typeof words === "string") expect(result.stderr).toContain(words);
    else expect(result.stderr).toMatch(words);
  }
  expect(result.stderr).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
  expect(result.exitCode).toBe(exitCode);
  expect(existsSync(join(at.folder, "made"))).toBe(false);
  if (!existsSync(at.workDir)) return;
  expect(readdirSync(at.workDir).sort()).toEqual([".nffi-work", "logs"]);
}

/** A release archive of a fake tree. */
function archive(folder: string, release: FakeRelease = {}): string {
  makeFakeRelease(join(folder, "openresty-1.99.0.1"), release);
  const file = join(folder, "openresty-1.99.0.1.tar.gz");
  execFileSync("tar", ["-czf", file, "-C", folder, "openresty-1.99.0.1"]);
  return file;
}

describe("the command line", () => {
  test.each([
    ["an unknown option", ["--colour"], "unknown option '--colour'"],
    ["jobs that are no number", ["--jobs", "many"], "'many' is invalid"],
    ["a source that is not there", ["--source", "/no/such.tar.gz"], "file or directory not found"],
    ["a URL without checksum", ["--source", "https://127.0.0.1/x.tar.gz"], "needs --sha256"],
    ["an empty prefix", ["--prefix", ""], "--prefix is empty"],
    ["an empty mirror", ["--mirror", ""], "--mirror is empty"],
    ["a release of Debian", ["--source", "debian", "--openresty", "1.27.1.2"], "nginx 1.26.3"],
    ["a build directory with a blank", ["--work-dir", "/tmp/with blank"], 'holds " "'],
  ])("refuses %s", async (_name, args, says) => {
    const at = place();
    expectRefusal(at, await at.build(args), 2, says);
  });

  test("refuses a build directory that holds the prefix", async () => {
    const at = place();
    expectRefusal(at, await at.build(["--work-dir", join(at.folder, "made")]), 2, "overlap");
  });

  test("refuses a build directory with files of the user and leaves them", async () => {
    const at = place();
    for (const name of ["logs", "library", "download", "tree", "stage"]) {
      mkdirSync(join(at.workDir, name), { recursive: true });
      writeFileSync(join(at.workDir, name, "mine.txt"), name);
    }
    // without options, and where all that failed builds leave is to be removed
    for (const args of [[], ["--force", "--clean"]]) {
      const result = await at.build(["--source", "/etc/passwd", ...args]);
      expect(result.stderr).toMatch(
        /^nffi: the build directory \S+ holds files that nffi did not make/,
      );
      expect(result.stderr).toContain("--work-dir");
      expect(result.exitCode).toBe(20);
    }
    const files = readdirSync(at.workDir, { recursive: true }).filter((path) =>
      String(path).endsWith("mine.txt"),
    );
    expect(files).toHaveLength(5);
  });

  test("refuses a prefix with another OpenResty, unless --overwrite-foreign", async () => {
    const at = place();
    const nginx = join(at.prefix, "nginx/sbin/nginx");
    mkdirSync(join(nginx, ".."), { recursive: true });
    writeFileSync(nginx, "another one");
    const result = await at.build(["--source", "/etc/passwd"]);
    expect(result.stderr).toContain(`${at.prefix} contains an OpenResty that nffi did not install`);
    expect(result.stderr).toContain("--overwrite-foreign");
    expect(result.exitCode).toBe(20);
    writeFileSync(join(at.folder, "nffi.config.json"), '{ "overwriteForeign": true }');
    const allowed: [string[], CliOptions][] = [
      [["--overwrite-foreign"], {}],
      [[], { env: { NFFI_OVERWRITE_FOREIGN: "1" } }],
      [[], { cwd: at.folder }],
    ];
    for (const [more, options] of allowed) {
      const { exitCode } = await at.build(["--source", "/etc/passwd", ...more], options);
      expect(exitCode).toBe(8); // it gets as far as the source
    }
    expect(readFileSync(nginx, "utf8")).toBe("another one");
  });

  test("refuses an old Node before it imports anything", async () => {
    const old =
      "Object.defineProperty(process,'versions',{value:{...process.versions,node:'18.20.4'}})";
    const result = await runCli(["build"], {
      env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(old)}` },
    });
    expect(result.exitCode).toBe(3);
    expect(result.stderr).toContain("needs Node 20.19 or newer, but this is Node 18.20.4");
  });
});

test.each(["patches/series", "lua/resty/nffi.lua"])(
  "an installation that lacks %s says so",
  async (file) => {
    const at = place();
    const copy = copyPackage(join(at.folder, "nffi"));
    rmSync(join(copy.folder, file));
    const args = ["build", "--prefix", at.prefix, "--work-dir", at.workDir];
    const result = await copy.nffi(args, { env: { XDG_CACHE_HOME: at.folder } });
    expectRefusal(at, result, 10, file, "install nffi again");
  },
);

describe("the source", () => {
  test("an unknown version lists the known ones", async () => {
    const at = place();
    const result = await at.build(["--openresty", "1.2.3.4"]);
    expectRefusal(at, result, 5, "unknown OpenResty release 1.2.3.4", "1.27.1.2", "1.21.4.1");
  });

  test.each([
    ["status 404", answers.status(404), "HTTP status 404"],
    ["a reset connection", answers.reset(), "cannot download"],
    ["a truncated body", answers.truncated(Buffer.alloc(100_000)), "openresty-1.27.1.2.tar.gz"],
  ])("%s of the mirror names the way out", async (_name, answer, says) => {
    const at = place();
    const mirror = await httpServer(answer);
    const result = await at.build(["--openresty", "1.27.1.2", "--mirror", mirror]);
    expectRefusal(at, result, 6, says, "--source debian", "step: fetch");
  });

  test("a mirror with another file is a wrong checksum, never a fallback", async () => {
    const at = place();
    const mirror = await httpServer(answers.whole(Buffer.from("evil")));
    const result = await at.build(["--mirror", mirror], { env: { CI: undefined } });
    expectRefusal(at, result, 7, "SHA-256", "expected 74f076f7", "found ", "step: verify");
  });

  test("a file with another checksum is refused", async () => {
    const at = place();
    const file = archive(at.folder);
    const result = await at.build(["--source", file, "--sha256", "0".repeat(64)]);
    expectRefusal(at, result, 7, file, "expected 0000", "nothing of it was used");
  });

  test("a file that is not an archive is refused, and the error lists accepted sources", async () => {
    const at = place();
    const result = await at.build(["--source", "/etc/passwd"]);
    expectRefusal(at, result, 8, "/etc/passwd is not a tar archive", "openresty-VERSION.tar.gz");
  });

  test("a truncated archive is refused", async () => {
    const at = place();
    const file = archive(at.folder);
    truncateSync(file, Math.floor(statSync(file).size / 2));
    expectRefusal(at, await at.build(["--source", file]), 8, "truncated or damaged");
  });

  test("an archive that leads outside is refused before it is unpacked", async () => {
    const at = place();
    const file = join(at.folder, "evil.tar");
    writeFileSync(join(at.folder, "evil"), "");
    execFileSync("tar", ["-cPf", file, "-C", at.folder, "--transform", "s,^,../../,", "evil"]);
    expectRefusal(at, await at.build(["--source", file]), 8, 'leads outside by ".."');
  });

  test("an archive of something else is no source of OpenResty", async () => {
    const at = place();
    const file = join(at.folder, "other.tar");
    execFileSync("tar", ["-cf", file, "-C", repository, "patches"]);
    expectRefusal(at, await at.build(["--source", file]), 8, "not a source of OpenResty");
  });

  test("a patch that does not apply shows file, component and hunk", async () => {
    const at = place();
    const tree = makeFakeRelease(join(at.folder, "tree"), {
      files: { "bundle/nginx-1.99.0/src/core/ngx_thread_pool.c": "/* another file */\n" },
    });
    const result = await at.build(["--source", tree]);
    expectRefusal(
      at,
      result,
      9,
      "0003-nginx-thread-pool-post-done.patch does not fit nginx 1.99.0",
      "src/core/ngx_thread_pool.c",
      "+ngx_thread_pool_post_done",
    );
  });
});

describe("the machine", () => {
  test("a missing compiler is named with its Debian package", async () => {
    const at = place();
    const tools = join(at.folder, "tools");
    mkdirSync(tools);
    for (const tool of ["flock", "make", "nm", "sh", "cat"]) {
      symlinkSync(execFileSync("which", [tool], { encoding: "utf8" }).trim(), join(tools, tool));
    }
    const result = await at.build(["--source", "official"], { env: { PATH: tools } });
    expectRefusal(at, result, 4, "the C compiler cc", /apt-get install \S+ gcc\b/);
  });

  test("a missing header is named with its Debian package", async () => {
    const at = place();
    const compiler = join(at.folder, "cc-without-openssl");
    writeFileSync(
      compiler,
      '#!/bin/sh\ninput=$(cat)\ncase $input in *openssl*) exit 1;; esac\necho "$input" | cc "$@"\n',
    );
    chmodSync(compiler, 0o755);
    const result = await at.build(["--source", "official"], { env: { CC: compiler } });
    expectRefusal(at, result, 4, "the header openssl/ssl.h", /apt-get install \S+ libssl-dev\b/);
  });

  test("a prefix that cannot be written is refused before anything is fetched", async () => {
    const at = place();
    const file = join(at.folder, "file");
    writeFileSync(file, "");
    const result = await at.build(["--prefix", join(file, "prefix")]);
    expectRefusal(at, result, 12, "is not writable: a part of the path is a file", "--prefix");
  });

  test.runIf(process.getuid?.() === 0)("a prefix of another user is refused", async () => {
    const at = place();
    chmodSync(at.folder, 0o755);
    const work = join(at.folder, "work-of-nobody");
    mkdirSync(work);
    chmodSync(work, 0o777);
    const shell = `exec "$@"`;
    const result = runAsNobody([
      ...["-c", shell, "sh", process.execPath, join(repository, "bin/nffi.mjs"), "build"],
      ...["--prefix", at.prefix, "--work-dir", work],
    ]);
    expectRefusal(at, result, 12, `${at.prefix} is not writable: permission denied`);
  });
});

/** Needs root, which the callers make sure of. */
function runAsNobody(args: readonly string[]): CliResult {
  const result = spawnSync("sh", args, { uid: 65534, gid: 65534, encoding: "utf8" });
  return { ...result, exitCode: result.status };
}

describe("a build that fails", () => {
  test("in configure shows the end of the log and leaves nothing", async () => {
    const at = place();
    const configure = "echo checking for foo; echo 'error: no foo here' >&2; exit 1";
    const tree = makeFakeRelease(join(at.folder, "tree"), { configure });
    const result = await at.build(["--source", tree]);
    expectRefusal(at, result, 11, "configure failed", "step: configure", "| error: no foo here");
    const log = /log: {2}(\S+)/.exec(result.stderr)?.[1] ?? "";
    expect(readFileSync(log, "utf8")).toContain("checking for foo");
    expect(result.stdout).toContain("[ 8/12] configure OpenResty: FAILED");
  });

  test("in make does so, too", async () => {
    const at = place();
    const makefile = "all:\n\t@echo 'x.c:1: error: no semicolon'; exit 2\n";
    const tree = makeFakeRelease(join(at.folder, "tree"), { makefile });
    expectRefusal(at, await at.build(["--source", tree]), 11, "step: make", "no semicolon");
  });

  test("in the proof installs nothing", async () => {
    const at = place();
    const makefile = `all:
install:
\tmkdir -p $(DESTDIR)${at.prefix}/nginx/sbin
\tcp /bin/true $(DESTDIR)${at.prefix}/nginx/sbin/nginx
`;
    const tree = makeFakeRelease(join(at.folder, "tree"), { makefile });
    const result = await at.build(["--source", tree]);
    expectRefusal(at, result, 13, "does not export ngx_thread_pool_post_done", "step: prove");
  });
});

describe("a signal", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s ends the whole build, cleans up and exits with %i", async (signal, exitCode) => {
    const at = place();
    const configure = "sleep 600 & echo ready; wait";
    const tree = makeFakeRelease(join(at.folder, "tree"), { configure });
    let family: ReturnType<typeof familyOf> = [];
    let pid = 0;
    const result = await at.build(["--verbose", "--source", tree], {
      onStart: (child) => {
        pid = child.pid ?? 0;
      },
      onOutput: (text) => {
        if (!/^ {4}ready$/m.test(text)) return;
        family = familyOf(pid);
        process.kill(pid, signal);
      },
    });
    expectRefusal(at, result, exitCode, signal);
    expect(family.length).toBeGreaterThan(3);
    expect(await stillThereAfter(family, 5_000)).toEqual([]);
  });

  test("while it downloads ends it immediately", async () => {
    const at = place();
    let pid = 0;
    const mirror = await httpServer((_request, response) => {
      response.writeHead(200, { "content-length": 1_000_000 });
      response.write("x", () => process.kill(pid, "SIGTERM"));
    });
    const result = await at.build(["--source", "official", "--mirror", mirror], {
      onStart: (child) => {
        pid = child.pid ?? 0;
      },
    });
    expectRefusal(at, result, 143, "SIGTERM");
  });
});

describe("a second build at the same time", () => {
  test("of the same prefix is refused; a killed one leaves no lock", async () => {
    const at = place();
    let pid = 0;
    let second: Promise<CliResult> | undefined;
    const mirror = await httpServer(async (_request, response) => {
      second ??= at.build(["--work-dir", join(at.folder, "other")]);
      await second;
      process.kill(pid, "SIGKILL");
      response.end();
    });
    const first = await at.build(["--source", "official", "--mirror", mirror], {
      onStart: (child) => {
        pid = child.pid ?? 0;
      },
    });
    expect(first.signal).toBe("SIGKILL");
    const refused = await second;
    expect(refused?.exitCode).toBe(14);
    expect(refused?.stderr).toContain(`${at.prefix} is in use by another nffi`);
    const third = await at.build(["--openresty", "1.2.3.4"]);
    expect(third.exitCode).toBe(5);
  });

  test("without a version falls back on Debian's sources, and says that it is another nginx", async () => {
    const at = place();
    const mirror = await httpServer(answers.status(503));
    let pid = 0;
    const result = await at.build(["--mirror", mirror], {
      env: { CI: undefined },
      onStart: (child) => {
        pid = child.pid ?? 0;
      },
      onOutput: (text) => {
        if (text.includes("assembled from Debian sources")) process.kill(pid, "SIGINT");
      },
    });
    expect(result.stdout).toContain("warning: ");
    expect(result.stdout).toContain("this is another nginx");
    expectRefusal(at, result, 130);
  });
});

test("the checksum of a good file is accepted and goes into the build", async () => {
  const at = place();
  const file = archive(at.folder, { configure: "exit 7" });
  const result = await at.build(["--source", file, "--sha256", await sha256OfFile(file)]);
  expect(result.stdout).toContain("verify the source: SHA-256 given with --sha256");
  expectRefusal(at, result, 11);
});
