// Bad luck of `nffi attach`: each nginx that it cannot work with is refused before anything is
// written, by one message that says what to do. Debian's own packages, changed for each case.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ErrorCode, EXIT_CODES } from "../../src/errors.js";
import { repository, runCli } from "../support/cli.js";
import { canEnterDebian, DebianMachine } from "../support/debian-nginx.js";
import { temporaryFolder } from "../support/temporary.js";

interface FakeNginx {
  readonly version?: string;
  readonly args?: string;
  /** A symbol that it exports. */
  readonly exported?: string;
  readonly flags?: readonly string[];
}

/** A program that prints what an nginx prints with -V. */
function fakeNginx({
  version = "nginx/1.22.1",
  args = "",
  exported,
  flags = [],
}: FakeNginx): string {
  const file = join(temporaryFolder(), "nginx");
  const texts = [`-DVERSION="${version}"`, `-DARGUMENTS="${args}"`];
  const source = join(repository, "test/fixtures/attach/nginx.c");
  const names = exported ? [`-DEXPORTED=${exported}`, "-rdynamic"] : [];
  execFileSync("cc", ["-o", file, ...texts, ...names, ...flags, source]);
  return file;
}

async function requireRefusal(
  args: readonly string[],
  code: ErrorCode,
  ...texts: readonly string[]
): Promise<void> {
  const result = await runCli(["attach", ...args]);
  expect(result.stderr).toContain("\n  hint: ");
  for (const text of texts) expect(result.stderr).toContain(text);
  expect([result.exitCode, result.stdout]).toEqual([EXIT_CODES[code], ""]);
}

describe("a program that is not suited", () => {
  const attachTo = (nginx: string) => ["--nginx", nginx];

  test("does not exist, or is a script", async () => {
    await requireRefusal(
      attachTo("/nowhere/nginx"),
      "nginx-missing",
      "/nowhere/nginx does not exist",
    );
    const script = join(temporaryFolder(), "nginx");
    writeFileSync(script, "#!/bin/sh\n", { mode: 0o755 });
    await requireRefusal(attachTo(script), "nginx-missing", `${script} is no program`);
  });

  test("is not in PATH: every place that was tried is listed", async () => {
    const result = await runCli(["attach"], { env: { PATH: "/nowhere" } });
    expect(result.exitCode).toBe(EXIT_CODES["nginx-missing"]);
    expect(result.stderr).toContain(
      "no nginx found\n  hint: looked for openresty and nginx in PATH",
    );
    expect(result.stderr).toContain("/usr/local/openresty/bin/openresty");
  });

  test("is not executable", async () => {
    const file = join(temporaryFolder(), "nginx");
    writeFileSync(file, "", { mode: 0o644 });
    await requireRefusal(attachTo(file), "nginx-missing", "is not executable", `chmod +x ${file}`);
  });

  test("is linked with musl", async () => {
    const nginx = fakeNginx({ flags: ["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"] });
    await requireRefusal(attachTo(nginx), "platform-unsupported", "is linked with musl", ":alpine");
  });

  test("is linked statically", async () => {
    const nginx = fakeNginx({ flags: ["-static"] });
    await requireRefusal(attachTo(nginx), "nginx-unsuitable", "is linked statically");
  });

  test("is for another processor", async () => {
    const nginx = fakeNginx({});
    const bytes = readFileSync(nginx);
    bytes.writeUInt16LE(process.arch === "x64" ? 183 : 62, 18);
    writeFileSync(nginx, bytes);
    const other = process.arch === "x64" ? "arm64" : "x64";
    await requireRefusal(attachTo(nginx), "platform-unsupported", `is for ${other}`);
  });

  test("hides the symbols of its ngx_lua, or has none", async () => {
    const hidden = fakeNginx({ args: "--with-threads --add-module=../lua-nginx-module-0.10.26" });
    await requireRefusal(attachTo(hidden), "nginx-unsuitable", "exports no symbols", "-Wl,-E");
    await requireRefusal(
      attachTo(fakeNginx({})),
      "lua-missing",
      "has no ngx_lua",
      "libnginx-mod-http-lua",
    );
  });

  test("is too old, or was built by nffi", async () => {
    const old = fakeNginx({ version: "nginx/1.18.0" });
    await requireRefusal(
      attachTo(old),
      "nginx-unsuitable",
      "is older than nginx 1.21.4",
      "--force",
    );
    const ours = fakeNginx({ exported: "ngx_http_lua_nonblocking_ffi_abi_version" });
    await requireRefusal(attachTo(ours), "nginx-unsuitable", "was built by nffi");
  });

  test("is not nginx", async () => {
    await requireRefusal(attachTo("/bin/true"), "nginx-missing", "/bin/true is not an nginx");
  });
});

describe.runIf(canEnterDebian)("Debian's nginx", () => {
  let machine: DebianMachine;
  beforeAll(async () => {
    machine = await DebianMachine.start();
  });
  afterAll(() => machine?.remove());

  /** Runs `change`, then nffi attach, then `back`; nothing may be installed. */
  async function refused(
    change: string,
    back: string,
    code: ErrorCode,
    ...texts: readonly string[]
  ): Promise<void> {
    expect((await machine.run(change)).stderr).toBe("");
    const result = await machine.nffi("attach");
    for (const text of texts) expect(result.stderr).toContain(text);
    expect([result.exitCode, result.stdout]).toEqual([EXIT_CODES[code], ""]);
    expect((await machine.run(`${back}; ls /usr/local/nffi 2>&1`)).stdout).toContain(
      "No such file",
    );
  }

  const LUA = "/usr/share/nginx/modules-available/mod-http-lua.conf";
  const CORE = "/usr/share/lua/5.1/resty/core";

  test("does not load ngx_lua, or has none", async () => {
    const module = "/usr/lib/nginx/modules/ngx_http_lua_module.so";
    const link = "/etc/nginx/modules-enabled/50-mod-http-lua.conf";
    const hint = `ln -s ${LUA} ${link}`;
    await refused(`rm ${link}`, hint, "lua-missing", "does not load", hint);
    await refused(
      `mv ${LUA} /tmp/lua.conf && : > ${LUA}`,
      "true",
      "lua-missing",
      "does not load ngx_http_lua_module.so",
      `load_module ${module};`,
    );
    await refused(
      `mv ${module} /tmp/lua.so`,
      `mv /tmp/lua.so ${module}; mv /tmp/lua.conf ${LUA}`,
      "lua-missing",
      "has no ngx_lua",
      "libnginx-mod-http-lua",
    );
  });

  test("has a lua-resty-core of another version, or none", async () => {
    await refused(
      `sed -i.orig 's/"ngx_http_lua_module 0[^"]*required"/"ngx_http_lua_module 0.10.99 required"/;
        s/ngx_lua_version ~= *[0-9]*/ngx_lua_version ~= 10099/' ${CORE}/base.lua`,
      `mv ${CORE}/base.lua.orig ${CORE}/base.lua`,
      "lua-missing",
      "the lua-resty-core of nginx 1.22.1 (/usr/sbin/nginx) is for ngx_http_lua_module 0.10.99",
    );
    await refused(
      `mv ${CORE}.lua /tmp; mv ${CORE} /tmp`,
      `mv /tmp/core.lua /tmp/core /usr/share/lua/5.1/resty`,
      "lua-missing",
      "finds no lua-resty-core",
      "apt-get install",
    );
  });

  test("hides some of the symbols, of nginx or of its ngx_lua", async () => {
    const renamed = (file: string, name: string) =>
      `cp -p ${file} /tmp/kept && perl -pi -e 's/${name}/${name.replace(/../, "xx")}/g' ${file}`;
    const nginx = "/usr/sbin/nginx";
    await refused(
      renamed(nginx, "ngx_event_no_timers_left"),
      `mv /tmp/kept ${nginx}`,
      "nginx-unsuitable",
      "(/usr/sbin/nginx) does not export ngx_event_no_timers_left\n",
      "--with-ld-opt=-Wl,-E",
    );
    const module = "/usr/lib/nginx/modules/ngx_http_lua_module.so";
    await refused(
      renamed(module, "ngx_http_lua_ffi_sema_count"),
      `mv /tmp/kept ${module}`,
      "nginx-unsuitable",
      "ngx_http_lua_module.so does not export ngx_http_lua_ffi_sema_count\n",
      "older than 0.10.21 or its symbols are hidden",
    );
  });

  test("uses poll(2)", async () => {
    await refused(
      "sed -i.orig 's/worker_connections 768;/& use poll;/' /etc/nginx/nginx.conf",
      "mv /etc/nginx/nginx.conf.orig /etc/nginx/nginx.conf",
      "nginx-unsuitable",
      "/etc/nginx/nginx.conf has `use poll;`",
      "epoll only",
    );
  });

  test("is compiled for with the headers of another nginx", async () => {
    const make = (version: string, name: string) =>
      `mkdir -p /tmp/src/src/core && printf '#define NGINX_VERSION "${version}"\n#define NGINX_VER "${name}/" NGINX_VERSION\n' > /tmp/src/src/core/nginx.h`;
    for (const [version, name] of [
      ["1.22.1", "openresty"],
      ["1.22.0", "nginx"],
    ] as const) {
      await machine.run(make(version, name));
      const result = await machine.nffi("attach --nginx-source /tmp/src");
      expect(result.exitCode).toBe(EXIT_CODES.usage);
      expect(result.stderr).toContain("but /usr/sbin/nginx is nginx 1.22.1");
    }
  });
});
