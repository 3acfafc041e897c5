// The commands around a build, through the real CLI: doctor, verify, uninstall, list.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import { beforeAll, describe, expect, test } from "vitest";
import { sha256OfFile } from "../../src/io/files.js";
import { runCli } from "../support/cli.js";
import { builtOpenresty } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

interface Part {
  readonly "bom-ref": string;
  readonly name: string;
  readonly version?: string;
  readonly purl?: string;
  readonly components?: readonly Part[];
  readonly hashes?: readonly { content: string }[];
  readonly pedigree?: { readonly patches?: unknown };
  readonly externalReferences?: readonly { url: string; hashes: { content: string }[] }[];
}

describe("of a product", () => {
  let built = "";
  beforeAll(async () => {
    built = await builtOpenresty();
  });

  function copyOfProduct(): string {
    const prefix = join(temporaryFolder(), "openresty");
    // Python has compiled modules into the product if other tests ran before
    const filter = (path: string) => !path.endsWith("__pycache__");
    cpSync(built, prefix, { recursive: true, verbatimSymlinks: true, filter });
    return prefix;
  }

  test("verify checks the files and starts the nginx that is there", async () => {
    const result = await runCli(["verify", built, "--verbose"]);
    expect(result.stderr).toBe("");
    expect(result.stdout).toContain(
      `verifying Debian trixie (nginx 1.26.3, ngx_lua 0.10.28) in ${built} (named on the command line)\n`,
    );
    expect(result.stdout).toContain("exports ngx_thread_pool_post_done");
    expect(result.stdout).toMatch(/as it was installed \(\d+ files\), and it works/);
  });

  test("verify names what was changed or removed and starts nothing of it", async () => {
    const prefix = copyOfProduct();
    appendFileSync(join(prefix, "lualib/resty/nffi.lua"), "-- mine\n");
    appendFileSync(join(prefix, "nginx/conf/nginx.conf"), "# the user's own file\n");
    rmSync(join(prefix, "nffi/include/nffi.h"));
    const result = await runCli(["verify", prefix, "--verbose"]);
    expect(result.exitCode).toBe(7);
    expect(result.stderr).toContain("changed lualib/resty/nffi.lua");
    expect(result.stderr).toContain("missing nffi/include/nffi.h");
    expect(result.stderr).not.toContain("nginx.conf");
    expect(result.stdout).toMatch(/^verifying .*\n$/);
    const [, again] =
      /`nffi (build --source debian:trixie --prefix \S+ -- [^`]+)`/.exec(
        result.stderr.replaceAll(/`node \S+ /g, "`nffi "),
      ) ?? [];
    expect(again).toContain("-- --with-http_v2_module");

    const json = await runCli(["verify", prefix, "--json"]);
    expect(json.exitCode).toBe(7);
    expect(JSON.parse(json.stdout)).toMatchObject({
      format: 1,
      prefix,
      ok: false,
      exitCode: 7,
      differences: [
        { path: "nffi/include/nffi.h", what: "missing" },
        { path: "lualib/resty/nffi.lua", what: "changed" },
      ],
    });
  });

  test("verify --json and info are for programs and shells", async () => {
    const verified = await runCli(["verify", "--json"], { env: { NFFI_PREFIX: built } });
    expect(JSON.parse(verified.stdout)).toMatchObject({
      format: 1,
      prefix: built,
      foundBy: "NFFI_PREFIX",
      title: expect.stringMatching(/^Debian trixie /),
      ok: true,
      differences: [],
    });
    const prefix = copyOfProduct();
    const file = join(prefix, "nffi/nffi.json");
    const manifest = JSON.parse(readFileSync(file, "utf8"));
    const configure = ["--with-cc-opt=-O2 -DNAME=it's", "--with-threads"];
    writeFileSync(file, JSON.stringify({ ...manifest, configure }));
    const { stdout } = await runCli(["info", "--prefix", prefix]);
    expect((await runCli(["info", prefix])).stdout).toBe(stdout);
    const twice = await runCli(["info", prefix, "--prefix", prefix]);
    expect([twice.exitCode, twice.stderr]).toEqual([2, expect.stringContaining("both name")]);
    const line = /^configure +(.*)$/m.exec(stdout)?.[1];
    const read = spawnSync("sh", ["-c", `printf '%s\\n' ${line}`], { encoding: "utf8" });
    expect(read.stdout).toBe(`${configure.join("\n")}\n`);
  });

  test("uninstall leaves only what is the user's", async () => {
    const prefix = copyOfProduct();
    writeFileSync(join(prefix, "mine.txt"), "mine");
    // Python writes these when a program outside of nginx imports nffi; an earlier nffi had more
    const compiled = join(prefix, "nffi/python/nffi/__pycache__");
    mkdirSync(compiled, { recursive: true });
    for (const name of ["codec", "earlier"]) {
      writeFileSync(join(compiled, `${name}.cpython-311.pyc`), "");
    }
    const dry = await runCli(["uninstall", prefix, "--dry-run"]);
    expect(dry.stdout).toContain("  nginx/sbin/nginx\n");
    expect(existsSync(join(prefix, "nginx/sbin/nginx"))).toBe(true);
    const result = await runCli(["uninstall", prefix]);
    expect(result.exitCode).toBe(0);
    expect(readdirSync(prefix).sort()).toEqual(["mine.txt", "nginx"]);
    expect(existsSync(join(prefix, "nginx/conf/nginx.conf"))).toBe(true);
    expect((await runCli(["uninstall", prefix])).exitCode).toBe(15);
  });

  test("uninstall keeps and names changed files, and removes nothing behind a link", async () => {
    const prefix = copyOfProduct();
    const elsewhere = join(prefix, "../lualib-elsewhere");
    renameSync(join(prefix, "lualib"), elsewhere);
    symlinkSync(elsewhere, join(prefix, "lualib"));
    const before = readdirSync(elsewhere, { recursive: true }).sort();
    appendFileSync(join(prefix, "nffi/include/nffi.h"), "// mine\n");
    const result = await runCli(["uninstall", prefix]);
    expect(result.stdout).toContain(
      "kept 1 file that changed after the installation:\n  nffi/include/nffi.h\n",
    );
    expect(result.stderr).toContain("lualib/resty/nffi.lua\n");
    expect(result.exitCode).toBe(20);
    expect(readdirSync(elsewhere, { recursive: true }).sort()).toEqual(before);
    expect(existsSync(join(prefix, "nffi/include/nffi.h"))).toBe(true);
    expect(existsSync(join(prefix, "nginx/sbin/nginx"))).toBe(false);
  });

  test("verify and uninstall count what the build has installed", async () => {
    const prefix = copyOfProduct();
    const files = readdirSync(prefix, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(prefix, join(entry.parentPath, entry.name)))
      .filter((path) => !/^nginx\/(conf|html|logs)\//.test(path));
    const verified = await runCli(["verify", built]);
    expect(verified.stdout).toContain(`(${files.length} files)`);
    const removed = await runCli(["uninstall", prefix]);
    expect(removed.stdout).toContain(`removed ${files.length} files`);
  });

  test("a product that was moved is refused: its nginx would load the libraries of another", async () => {
    const prefix = copyOfProduct();
    const cwd = temporaryFolder();
    const runtime = ["new-runtime", "x", "--yes", "--prefix", prefix];
    for (const args of [["verify", prefix], runtime]) {
      const { stderr, exitCode } = await runCli(args, { cwd });
      expect(exitCode).toBe(7);
      expect(stderr).toContain(`the product in ${prefix} was built for ${built}, and works only`);
    }
    expect(readdirSync(cwd)).toEqual([]);
    const link = join(cwd, "link");
    symlinkSync(built, link);
    expect((await runCli(["verify", link])).exitCode).toBe(0);
  });

  test("uninstall names the nginx that run from the product", async () => {
    const prefix = copyOfProduct();
    const conf = join(prefix, "nginx/conf/own.conf");
    writeFileSync(conf, `daemon off; pid ${conf}.pid; error_log ${conf}.log; events {}`);
    const nginx = spawn(join(prefix, "nginx/sbin/nginx"), ["-c", conf], {
      env: { LD_LIBRARY_PATH: `${prefix}/luajit/lib:${prefix}/nffi/lib` },
    });
    const ended = once(nginx, "exit");
    try {
      await expect.poll(() => existsSync(`${conf}.pid`), { timeout: 10_000 }).toBe(true);
      const dry = await runCli(["uninstall", prefix, "--dry-run"]);
      expect(dry.stdout).toMatch(new RegExp(`runs from it: processes.* ${nginx.pid}\\b`));
      const { stdout } = await runCli(["uninstall", prefix]);
      expect(stdout).toMatch(new RegExp(`still runs from it: processes.* ${nginx.pid}\\b`));
    } finally {
      nginx.kill("SIGTERM");
      await ended;
    }
  });

  test("an empty prefix is none, and nothing is removed", async () => {
    const result = await runCli(["uninstall", ""], { env: { NFFI_PREFIX: copyOfProduct() } });
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain("<prefix> is empty");
    expect(result.stdout).toBe("");
  });

  test("the bill of materials is valid and names everything that was bundled", async () => {
    const file = join(built, "nffi/sbom.cdx.json");
    const text = readFileSync(file, "utf8");
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
    expect(await validator.validate(text)).toBeNull();

    const manifest = JSON.parse(readFileSync(join(built, "nffi/nffi.json"), "utf8"));
    const bom: { components: Part[] } = JSON.parse(text);
    const bundled = bom.components.filter((part) => part["bom-ref"].startsWith("bundle/"));
    expect(Object.fromEntries(bundled.map(({ name, version }) => [name, version]))).toEqual(
      manifest.components,
    );
    for (const { purl } of bundled) expect(purl).toMatch(/^pkg:deb\/debian\/.*distro=/);
    const archives = bundled.flatMap((part) => part.externalReferences ?? []);
    expect(
      Object.fromEntries(archives.map(({ url, hashes }) => [url, hashes[0]?.content])),
    ).toEqual(manifest.source.packages);
    const patched = bundled.filter(({ pedigree }) => pedigree?.patches);
    // lua-cjson of the suites lacks a fix that a later version has
    const names = ["lua-cjson", "lua-resty-core", "nginx", "ngx_lua"];
    expect(patched.map(({ name }) => name)).toEqual(names);

    const own = bom.components.find(({ name }) => name === "nffi")?.components ?? [];
    expect(own.map(({ name }) => name)).toContain("nffi/lib/libnffi.so.1");
    for (const { name, hashes } of own) {
      expect(hashes?.[0]?.content).toBe(await sha256OfFile(join(built, name)));
    }
    expect(manifest.files).toHaveProperty(["nffi/sbom.cdx.json"], await sha256OfFile(file));
    const told = await runCli(["info", "--prefix", built]);
    expect(told.stdout).toContain(`sbom        ${file}\n`);
  });

  test("list shows what is installed", async () => {
    const result = await runCli(["list"], { env: { NFFI_PREFIX: built } });
    expect(result.stdout).toMatch(
      new RegExp(`^ {2}Debian trixie \\(nginx 1\\.26\\.3, ngx_lua 0\\.10\\.28\\) +${built}$`, "m"),
    );
    expect(result.stdout).toContain("--openresty VERSION --keyring FILE");
    expect(result.stdout).toMatch(/ {2}1\.21\.4\.2 .*needs PCRE 1/);
    expect(result.stdout).not.toMatch(/ {2}1\.27\.1\.2 .*PCRE/);

    const json = await runCli(["list", "--json"], { env: { NFFI_PREFIX: built } });
    const list = JSON.parse(json.stdout);
    const project = temporaryFolder();
    mkdirSync(join(project, ".nffi"));
    symlinkSync(built, join(project, ".nffi/openresty"));
    const env = { NFFI_PREFIX: built, XDG_STATE_HOME: join(project, "state") };
    const there = (await runCli(["list"], { env, cwd: project })).stdout;
    expect(there.split("\n").filter((line) => line.includes("Debian trixie (nginx"))).toHaveLength(
      1,
    );
    expect(there).toContain(` ${built}\n`);
    expect(list.installed).toContainEqual(
      expect.objectContaining({ prefix: built, title: expect.stringMatching(/^Debian trixie/) }),
    );
    expect(list.official).toContainEqual(
      expect.objectContaining({ version: "1.27.1.2", isDefault: true, pcre: 2 }),
    );
    expect(list.debian).toContainEqual(
      expect.objectContaining({
        source: "debian:trixie",
        packages: expect.arrayContaining(["gcc"]),
      }),
    );
  });

  test("a product without Java names the reason and a command that makes one with it", async () => {
    const prefix = copyOfProduct();
    const file = join(prefix, "nffi/nffi.json");
    const manifest = JSON.parse(readFileSync(file, "utf8"));
    const java = { reason: "no JDK: javac not found in PATH, and JAVA_HOME is not set" };
    writeFileSync(file, JSON.stringify({ ...manifest, prefix, java }));
    rmSync(join(prefix, "nffi/java"), { recursive: true });
    const cwd = temporaryFolder();
    const failed = await runCli(["new-runtime", "x", "--lang", "java", "--prefix", prefix], {
      cwd,
    });
    expect(failed.exitCode).toBe(15);
    expect(failed.stderr).toContain(`was made without Java: ${java.reason}\n`);
    expect(failed.stderr).toMatch(
      /install a JDK \(.*apt-get install \S+ default-jdk-headless\), then/,
    );
    expect(failed.stderr).toContain(` build --source debian:trixie --prefix ${prefix} -- `);
  });

  test("new-runtime says which product it uses, and never takes another project's", async () => {
    const cwd = temporaryFolder();
    const state = join(cwd, "state");
    mkdirSync(join(state, "nffi"), { recursive: true });
    writeFileSync(join(state, "nffi/last-build.json"), JSON.stringify({ prefix: built }));
    const env = { XDG_STATE_HOME: state, NFFI_PREFIX: undefined };
    const args = ["new-runtime", "x", "--yes", "--dry-run"];
    const none = await runCli(args, { cwd, env });
    expect(none.exitCode).toBe(15);
    expect(none.stderr).toContain(`the last build of this user: --prefix ${built}\n`);
    const named = await runCli(args, { cwd, env: { ...env, NFFI_PREFIX: built } });
    expect(named.stdout).toMatch(
      new RegExp(`^using Debian trixie .* in ${built} \\(named by NFFI_PREFIX\\)\n`),
    );
  });
});

describe("doctor", () => {
  /** A PATH with the programs of this machine that a build needs, but for some. */
  function toolbox(without: string[] = []): string {
    const folder = temporaryFolder();
    const programs = ["cc", "make", "nm", "perl", "flock", "patch", "xz", "sh", "as", "ld"];
    for (const name of programs.filter((one) => !without.includes(one))) {
      symlinkSync(`/usr/bin/${name}`, join(folder, name));
    }
    return folder;
  }

  test("reports every tool, directory and language", async () => {
    const result = await runCli(["doctor"]);
    expect(result.exitCode).toBe(0);
    for (const name of ["C compiler", "openssl/ssl.h", "disk", "memory", "temp directory"]) {
      expect(result.stdout).toMatch(new RegExp(`^ok +${name}`, "m"));
    }
    for (const name of ["Node", "CPython", "JDK", "Go", "Rust"]) {
      expect(result.stdout).toMatch(new RegExp(`^(ok|absent|warning) +${name} `, "m"));
    }
  });

  test("exits with 4 and names the package when something is missing", async () => {
    const result = await runCli(["doctor", "--json"], { env: { PATH: toolbox(["xz"]) } });
    expect(result.exitCode).toBe(4);
    const report = JSON.parse(result.stdout);
    expect(report).toMatchObject({ format: 1, ready: false });
    expect(report.findings).toContainEqual(
      expect.objectContaining({ name: "xz", status: "missing", debian: "xz-utils" }),
    );
    expect(result.stderr).toContain("xz-utils");
  });

  test("--fix prints the command and does not run it without a terminal", async () => {
    const PATH = toolbox(["xz"]);
    const result = await runCli(["doctor", "--fix"], { env: { PATH } });
    expect(result.stdout).toMatch(/^(sudo )?apt-get install --no-install-recommends xz-utils$/m);
    expect(result.exitCode).toBe(4);
  });

  test.runIf(process.getuid?.() === 0)("--fix --yes runs it and looks again", async () => {
    const PATH = toolbox(["xz"]);
    const installer = `#!/bin/sh\necho "installing $*"\n/bin/ln -s /usr/bin/xz ${PATH}/xz\n`;
    writeFileSync(join(PATH, "apt-get"), installer);
    chmodSync(join(PATH, "apt-get"), 0o755);
    const result = await runCli(["doctor", "--fix", "--yes"], { env: { PATH } });
    expect(result.stdout).toContain("installing install --no-install-recommends xz-utils -y");
    expect(result.stdout).toMatch(/^ok +xz/m);
    expect(result.exitCode).toBe(0);
  });

  test("a temp directory that is not writable is named", async () => {
    const result = await runCli(["doctor"], { env: { TMPDIR: "/proc/self" } });
    expect(result.stdout).toMatch(/^missing +temp directory +\/proc\/self is not writable/m);
    expect(result.exitCode).toBe(4);
  });
});
