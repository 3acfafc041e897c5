// What `nffi build` makes of real sources, for each Debian suite: the layout, the flags, a proof
// that the whole path works, and what a second build does to a prefix that is in use.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Manifest } from "../../src/build/manifest.js";
import { sha256OfFile } from "../../src/io/files.js";
import { runCli } from "../support/cli.js";
import { makeFakeRelease } from "../support/fake-release.js";
import { startNginx } from "../support/nginx.js";
import { allSuites, anySuite, builtOpenresty, suites } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

const VERSIONS = {
  trixie: { nginx: "1.26", ngx_lua: "0.10.28", "lua-resty-core": "0.1.31" },
  bookworm: { nginx: "1.22", ngx_lua: "0.10.23", "lua-resty-core": "0.1.25" },
};

const echo = (prefix: string) => `
  location /echo {
    content_by_lua_block {
      local rt = assert(ngx.load_nonblocking_ffi("${prefix}/nffi/lib/libnffi_echo.so", ""))
      local ok, reply = rt:echo(ngx.var.arg_q)
      ngx.print(ok and reply or "failed")
    }
  }`;

describe.each(allSuites.map((suite) => ({ suite, run: suites.includes(suite) })))(
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
      await nginx.stop({ signal: "SIGQUIT" });
    });

    test.runIf(run)("the manifest tells what was built, and its hashes hold", async () => {
      const info = await runCli(["info", "--json", "--prefix", prefix]);
      const manifest: Manifest = JSON.parse(info.stdout);
      const { components, source } = manifest;
      for (const [name, version] of Object.entries(VERSIONS[suite])) {
        expect(components[name]).toContain(version);
      }
      expect(source.verifiedBy).toContain("signatures of Debian's archive");
      expect(Object.keys(source.packages).length).toBeGreaterThan(5);
      expect(Object.keys(manifest.patches).length).toBe(3);
      for (const path of ["nginx/sbin/nginx", "nffi/lib/libnffi.so.1"]) {
        expect(manifest.files[path]).toBe(await sha256OfFile(join(prefix, path)));
      }
    });

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
    const failed = await runCli(["build", "--source", tree, ...args]);
    expect(failed.exitCode).toBe(13);
    expect(readFileSync(join(prefix, "nffi/nffi.json"), "utf8")).toBe(manifest);
    expect(existsSync(join(folder, "work/stage"))).toBe(false);
    const nginx = await startNginx({ prefix, server: echo(prefix) });
    expect(await nginx.get("/echo?q=works")).toBe("works");
    await nginx.stop();
  });
});

describe("the product is found", () => {
  test("by --prefix, NFFI_PREFIX, ./.nffi/openresty and the record of the last build", async () => {
    const prefix = await builtOpenresty(anySuite);
    const folder = temporaryFolder();
    const state = join(folder, "state");
    const clean = { NFFI_PREFIX: undefined, XDG_STATE_HOME: state };
    const ask = async (args: string[], env: Record<string, string | undefined> = {}) =>
      await runCli(["info", ...args], { cwd: folder, env: { ...clean, ...env } });

    const none = await ask([]);
    expect(none.exitCode).toBe(15);
    expect(none.stderr).toContain("run `nffi build` first");
    expect((await ask(["--prefix", prefix, "--libs"])).stdout).toContain(`-L${prefix}/nffi/lib`);
    expect((await ask(["--prefix"], { NFFI_PREFIX: prefix })).stdout.trim()).toBe(prefix);
    const record = JSON.stringify({ prefix });
    execFileSync("mkdir", ["-p", join(state, "nffi")]);
    writeFileSync(join(state, "nffi/last-build.json"), record);
    expect((await ask(["--prefix"])).stdout.trim()).toBe(prefix);
  });
});
