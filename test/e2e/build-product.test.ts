// What `nffi build` makes of real sources, for each Debian suite: the layout, the flags, a proof
// that the whole path works, and what a second build does to a prefix that is in use.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { PROTECTIONS } from "../../src/io/elf.js";
import { sha256OfFile } from "../../src/io/files.js";
import type { BuiltManifest } from "../../src/pipeline/manifest.js";
import { runCli } from "../support/cli.js";
import { makeFakeRelease, WITHOUT_JAVA } from "../support/fake-release.js";
import { startNginx } from "../support/nginx.js";
import {
  allSuites,
  anySuite,
  buildArgs,
  builtOpenresty,
  builtSuites,
} from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

const VERSIONS = {
  trixie: { nginx: "1.26", ngx_lua: "0.10.28", "lua-resty-core": "0.1.31" },
  bookworm: { nginx: "1.22", ngx_lua: "0.10.23", "lua-resty-core": "0.1.25" },
};

const FORTIFIED = [
  ...["lualib/cjson.so", "nffi/lib/libnffi.so.1", "nffi/lib/libnffi_python.so"],
  ...["nffi/node/nffi.node", "nginx/sbin/nginx"],
];

function elfFilesIn(prefix: string): string[] {
  const entries = readdirSync(prefix, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name));
  return paths
    .filter((path) => readFileSync(path).subarray(0, 4).toString("latin1") === "\x7fELF")
    .map((path) => relative(prefix, path))
    .sort();
}

/** What readelf, and not our own reader, shows of a file. */
function protectionsIn(path: string): string[] {
  const args = ["--wide", "--file-header", "--program-headers", "--dynamic", "--dyn-syms", path];
  const shown = execFileSync("readelf", args, { encoding: "utf8", maxBuffer: 64e6 });
  const signs: Record<(typeof PROTECTIONS)[number], RegExp> = {
    pie: /Type: +DYN /,
    relro: /^ +GNU_RELRO /m,
    "bind-now": /\(FLAGS\) +BIND_NOW|\(FLAGS_1\) .*\bNOW\b/,
    noexecstack: /^ +GNU_STACK .* RW +0x/m,
    "stack-protector": / UND __stack_chk_fail\b/,
    fortify: / UND __\w+_chk\b/,
  };
  return PROTECTIONS.filter((name) => signs[name].test(shown));
}

/** Units whose debug information does not name the flags that leave no symbol behind. */
function unhardenedUnits(path: string): string[] {
  const text = readFileSync(path, "latin1");
  const units = text.match(/GNU C\d+ [^\0]*/g) ?? ["no debug information"];
  const controlFlow = process.arch === "arm64" ? "-mbranch-protection=standard" : "-fcf-protection";
  const flags = ["-fstack-protector-strong", "-fstack-clash-protection", controlFlow];
  return units.filter((unit) => !flags.every((flag) => unit.includes(flag)));
}

const echo = (prefix: string) => `
  location /echo {
    content_by_lua_block {
      local rt = assert(ngx.load_nonblocking_ffi("${prefix}/nffi/lib/libnffi_echo.so", ""))
      local ok, response = rt:echo(ngx.var.arg_q)
      ngx.print(ok and response or "failed")
    }
  }
  location /pipe {
    content_by_lua_block { ngx.print(select(2, pcall(require, "ngx.pipe"))) }
  }`;

describe.each(allSuites.map((suite) => ({ suite, run: builtSuites.includes(suite) })))(
  "from Debian $suite",
  ({ suite, run }) => {
    let prefix = "";
    beforeAll(async () => {
      if (run) prefix = await builtOpenresty(suite);
    });

    test.runIf(run)("nginx has thread pools and calls itself openresty", () => {
      const nginx = join(prefix, "nginx/sbin/nginx");
      const shown = execFileSync("sh", ["-c", `${nginx} -V 2>&1`], { encoding: "utf8" });
      expect(shown).toContain(`nginx version: openresty/${VERSIONS[suite].nginx}`);
      expect(shown).toContain("--with-threads");
    });

    test
      .runIf(run)
      .each([
        "bin/openresty",
        "luajit/bin/luajit",
        "lualib/resty/core/nonblocking_ffi.lua",
        "lualib/resty/lrucache.lua",
        "lualib/resty/nffi.lua",
        "lualib/resty_ffi.lua",
        "nffi/include/nffi.h",
        "nffi/lib/libnffi.a",
        "nffi/lib/libnffi.so",
        "nffi/lib/libnffi.so.1",
        "nffi/lib/pkgconfig/nffi.pc",
        "nffi/node/main.js",
        "nffi/node/nffi.node",
        "nginx/conf/nginx.conf",
        "nginx/logs",
      ])("the prefix holds %s", (path) => {
      expect(statSync(join(prefix, path), { throwIfNoEntry: false })).toBeDefined();
    });

    test.runIf(run)("nothing half-written is left in the prefix", () => {
      const names = readdirSync(prefix, { recursive: true }).map(String);
      expect(names.filter((name) => /nffi-(new|tmp|probe)/.test(name))).toEqual([]);
    });

    test.runIf(run)("a call goes through nginx, Lua and a library and comes back", async () => {
      const nginx = await startNginx({ prefix, server: echo(prefix) });
      expect(await nginx.get("/echo?q=hello")).toBe("hello");
      // what docs/languages.md says of this source
      expect(await nginx.get("/pipe")).toContain("lack of the HAVE_SOCKET_CLOEXEC_PATCH patch");
      await nginx.stop({ signal: "SIGQUIT" });
    });

    // CVE-2022-24834: six times this length is no int.
    test.runIf(run)("cjson encodes a string of 358 MB within 2 GB, or says that it cannot", () => {
      const encode = (megabytes: number) => {
        const script = `
          package.cpath = "${prefix}/lualib/?.so"
          local cjson = require "cjson.safe"
          local text = ("x"):rep(358e6)
          local encoded, err = cjson.encode({ text })
          text = nil
          print(encoded and #encoded or err, encoded and encoded:sub(-3), cjson.encode({ "after" }))`;
        const limited = `ulimit -v ${megabytes}000; exec "$0" -e "$1"`;
        const args = ["-c", limited, join(prefix, "luajit/bin/luajit"), script];
        return execFileSync("sh", args, { encoding: "utf8" }).trim();
      };
      expect(encode(2000)).toBe('358000004\tx"]\t["after"]');
      expect(encode(1200)).toBe('Cannot serialise: not enough memory\tnil\t["after"]');
    });

    test.runIf(run)("every executable and library is hardened as Debian's nginx is", async () => {
      const info = await runCli(["info", "--json", "--prefix", prefix]);
      const { hardening = {} }: BuiltManifest = JSON.parse(info.stdout);
      const paths = elfFilesIn(prefix);
      expect(paths).toEqual(expect.arrayContaining(FORTIFIED));
      for (const path of paths) {
        const found = protectionsIn(join(prefix, path));
        expect.soft([path, hardening[path]]).toEqual([path, found]);
        // a file that calls no function of libc with a buffer of known size has nothing to fortify
        const needed = PROTECTIONS.filter((one) => one !== "fortify" || FORTIFIED.includes(path));
        expect.soft([path, ...found]).toEqual(expect.arrayContaining([path, ...needed]));
        expect.soft([path, ...unhardenedUnits(join(prefix, path))]).toEqual([path]);
      }
      const shown = await runCli(["info", "--prefix", prefix]);
      expect(shown.stdout).toContain(`noexecstack: ${paths.length} files\n`);
    });

    test.runIf(run)("the manifest describes the product, and its hashes match", async () => {
      const info = await runCli(["info", "--json", "--prefix", prefix]);
      const manifest: BuiltManifest = JSON.parse(info.stdout);
      const { components, source } = manifest;
      for (const [name, version] of Object.entries(VERSIONS[suite])) {
        expect(components[name]).toContain(version);
      }
      expect(source.verifiedBy).toContain("signatures of Debian's archive");
      expect(Object.keys(source.packages).length).toBeGreaterThan(5);
      expect(Object.keys(manifest.patches).length).toBe(4);
      for (const path of ["nginx/sbin/nginx", "nffi/lib/libnffi.so.1"]) {
        expect(manifest.files[path]).toBe(await sha256OfFile(join(prefix, path)));
      }
    });

    test.runIf(run)(
      "--require-security-patches refuses this archive, or has nothing to refuse",
      async () => {
        const info = await runCli(["info", "--json", "--prefix", prefix]);
        const { source }: BuiltManifest = JSON.parse(info.stdout);
        const gaps = source.securityGaps ?? [];
        const shown = (await runCli(["info", "--prefix", prefix])).stdout;
        for (const { text } of gaps) expect(shown).toContain(`unpatched   ${text}\n`);
        const built = await runCli(buildArgs(suite), {
          env: { NFFI_REQUIRE_SECURITY_PATCHES: "1" },
        });
        expect(built.exitCode).toBe(gaps.length > 0 ? 21 : 0);
        for (const { text } of gaps) expect(built.stderr).toContain(text);
        if (gaps.length === 0) expect(built.stdout).toContain("nothing has changed");
        const after = await runCli(["info", "--json", "--prefix", prefix]);
        expect(after.stdout).toBe(info.stdout);
      },
    );

    test.runIf(run)(
      "a C program links with what nffi info prints, and with pkg-config",
      async () => {
        const folder = temporaryFolder();
        const source = join(folder, "program.c");
        writeFileSync(
          source,
          "#include <nffi.h>\nint main(void){return nffi_abi_version() != NFFI_ABI_VERSION;}\n",
        );
        const info = await runCli(["info", "--prefix", prefix, "--cflags", "--libs"]);
        const pc = join(prefix, "nffi/lib/pkgconfig");
        const pkgConfig = execFileSync("pkg-config", ["--cflags", "--libs", "nffi"], {
          encoding: "utf8",
          env: { ...process.env, PKG_CONFIG_PATH: pc },
        });
        for (const flags of [info.stdout, pkgConfig]) {
          const program = join(folder, "program");
          execFileSync("cc", [source, "-o", program, ...flags.trim().split(/\s+/)]);
          execFileSync(program, { env: { LD_LIBRARY_PATH: join(prefix, "nffi/lib") } });
          rmSync(program);
        }
      },
    );
  },
);

describe("a second build", () => {
  test("that fails in its proof leaves the product that is there working", async () => {
    const prefix = await builtOpenresty(anySuite);
    const manifest = readFileSync(join(prefix, "nffi/nffi.json"), "utf8");
    const folder = temporaryFolder();
    const makefile = `all:
install:
\tmkdir -p $(DESTDIR)${prefix}/nginx/sbin
\tcp /bin/true $(DESTDIR)${prefix}/nginx/sbin/nginx
`;
    const tree = makeFakeRelease(join(folder, "tree"), { makefile });
    const args = ["--prefix", prefix, "--work-dir", join(folder, "work")];
    const failed = await runCli(["build", "--source", tree, ...args], { env: WITHOUT_JAVA });
    expect(failed.exitCode).toBe(13);
    expect(readFileSync(join(prefix, "nffi/nffi.json"), "utf8")).toBe(manifest);
    expect(existsSync(join(folder, "work/stage"))).toBe(false);
    const nginx = await startNginx({ prefix, server: echo(prefix) });
    expect(await nginx.get("/echo?q=works")).toBe("works");
    await nginx.stop();
  });
});

describe("the product is found", () => {
  test("by --prefix, NFFI_PREFIX, nffi.config.json and ./.nffi/openresty, not as the last build", async () => {
    const prefix = await builtOpenresty(anySuite);
    const folder = temporaryFolder();
    const state = join(folder, "state");
    const clean = { NFFI_PREFIX: undefined, XDG_STATE_HOME: state };
    const ask = async (args: string[], env: Record<string, string | undefined> = {}) =>
      await runCli(["info", ...args], { cwd: folder, env: { ...clean, ...env } });

    const none = await ask([]);
    expect(none.exitCode).toBe(15);
    expect(none.stderr).toMatch(/run `(nffi|node \S+nffi\.mjs) build` or `\1 attach` first/);
    expect((await ask(["--prefix", prefix, "--libs"])).stdout).toContain(`-L${prefix}/nffi/lib`);
    expect((await ask(["--prefix"], { NFFI_PREFIX: prefix })).stdout.trim()).toBe(prefix);
    const record = JSON.stringify({ prefix });
    execFileSync("mkdir", ["-p", join(state, "nffi")]);
    writeFileSync(join(state, "nffi/last-build.json"), record);
    const other = await ask(["--prefix"]);
    expect(other.exitCode).toBe(15);
    expect(other.stderr).toContain(`the last build of this user: --prefix ${prefix}\n`);
    writeFileSync(join(folder, "nffi.config.json"), JSON.stringify({ prefix }));
    expect((await ask(["--prefix"])).stdout.trim()).toBe(prefix);
  });
});
