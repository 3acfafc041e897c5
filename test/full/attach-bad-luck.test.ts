// Bad luck of an attached nginx that takes long to arrange: a real program of musl, and a machine
// whose nginx is upgraded from Debian 12's to Debian 13's while it runs.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXIT_CODES } from "../../src/errors.js";
import { type CliResult, repository, runCli } from "../support/cli.js";
import { canEnterDebian, DebianMachine } from "../support/debian-nginx.js";
import { debianLayer } from "../support/debian-product.js";
import { COMPILER_ENV, prebuiltFiles, ZIG } from "../support/prebuilt.js";
import { temporaryFolder } from "../support/temporary.js";

beforeAll(async () => {
  await prebuiltFiles();
});

test("a program of musl is refused, and the image to use is named", async () => {
  const nginx = join(temporaryFolder(), "nginx");
  const cpu = process.arch === "x64" ? "x86_64" : "aarch64";
  const target = ["-dynamic", "-lc", "-target", `${cpu}-linux-musl`, `-femit-bin=${nginx}`];
  const texts = ["-cflags", '-DVERSION="nginx/1.29.2"', '-DARGUMENTS=""', "--"];
  const source = join(repository, "test/fixtures/attach/nginx.c");
  execFileSync(ZIG, ["build-exe", ...target, ...texts, source], {
    env: { ...process.env, ...COMPILER_ENV },
    stdio: "pipe",
  });
  expect(readFileSync(nginx).includes("/lib/ld-musl-")).toBe(true);
  const result = await runCli(["attach", "--nginx", nginx]);
  expect(result.stderr).toMatch(/^nffi: .* is linked with musl, and nffi with glibc\n {2}hint: /);
  expect(result.stderr).toContain("openresty/openresty:bookworm");
  expect([result.exitCode, result.stdout]).toEqual([EXIT_CODES["platform-unsupported"], ""]);
});

const NGINX_CONF = `load_module modules/ndk_http_module.so;
load_module modules/ngx_http_lua_module.so;
error_log /tmp/error.log info;
pid /tmp/nginx.pid;
events {}
http {
  access_log off;
  include /tmp/nffi.conf;
  server { listen unix:/tmp/nginx.sock; location / { content_by_lua_block {
    local rt = assert(require("resty.nffi").load("/opt/nffi/nffi/lib/libnffi_echo.so"))
    ngx.say(ngx.config.nginx_version, " ", assert(rt:call("hello")))
  } } }
}
`;
const NGINX = "/usr/sbin/nginx -p /usr/lib/nginx -e /tmp/error.log -c /tmp/nginx.conf";
const ASK = "curl -sS --unix-socket /tmp/nginx.sock http://localhost/";

// Debian 13 is the newest Debian: no machine has newer libraries
describe.runIf(canEnterDebian)("nginx is upgraded under a running attach", () => {
  let machine: DebianMachine;
  let newer: string;

  beforeAll(async () => {
    newer = await debianLayer("debian-13");
    machine = await DebianMachine.start([await debianLayer("debian-12")]);
  });
  afterAll(async () => {
    await machine?.run("kill $(cat /tmp/nginx.pid)");
    await machine?.remove();
  });

  function succeeded(result: CliResult): string {
    expect(result.exitCode, result.stdout + result.stderr).toBe(0);
    return result.stdout;
  }

  test("the old one answers", async () => {
    const attach = "attach --conf /tmp/nginx.conf --prefix /opt/nffi --write-conf /tmp/nffi.conf";
    const conf = NGINX_CONF.replace(/^.*include.*$/m, "");
    succeeded(await machine.run(`cat > /tmp/nginx.conf <<'END'\n${conf}END`));
    succeeded(await machine.nffi(attach));
    succeeded(await machine.run(`cat > /tmp/nginx.conf <<'END'\n${NGINX_CONF}END`));
    expect(succeeded(await machine.run(`${NGINX} && ${ASK}`))).toBe("1022001 hello\n");
  });

  test("a reload of the old one fails at the new lua-resty-core, and its workers answer", async () => {
    // as dpkg does: new files under the names of the old ones, which run on
    succeeded(await machine.run(`cp -a --remove-destination ${newer}/usr/. /usr/`));
    succeeded(await machine.run("kill -HUP $(cat /tmp/nginx.pid); sleep 0.5"));
    expect(succeeded(await machine.run(ASK))).toBe("1022001 hello\n");
    const log = succeeded(await machine.run("cat /tmp/error.log"));
    expect(log).toContain("ngx_http_lua_module 0.10.28 required");
  });

  test("the new one answers after a binary upgrade, and says once that it was not proven", async () => {
    const upgrade = `kill -USR2 $(cat /tmp/nginx.pid)
      for i in $(seq 100); do [ -s /tmp/nginx.pid.oldbin ] && [ -s /tmp/nginx.pid ] && break; sleep 0.1; done
      kill -QUIT $(cat /tmp/nginx.pid.oldbin)
      for i in $(seq 100); do [ -e /tmp/nginx.pid.oldbin ] || break; sleep 0.1; done`;
    succeeded(await machine.run(upgrade));
    expect(succeeded(await machine.run(`${ASK}; ${ASK}`))).toBe("1026003 hello\n1026003 hello\n");
    const log = succeeded(await machine.run("cat /tmp/error.log"));
    const warnings = log.match(/\[warn\].*nffi: .*/g) ?? [];
    expect(warnings, log).toHaveLength(1);
    expect(warnings[0]).toMatch(/this nginx is nginx 1\.26\.3.*nffi verify/);
  });

  test("nffi verify proves and records it, and no warning follows", async () => {
    const shown = succeeded(await machine.nffi("verify /opt/nffi"));
    expect(shown).toMatch(/1\.22\.1 -> 1\.26\.3/);
    succeeded(await machine.run(": > /tmp/error.log; kill -HUP $(cat /tmp/nginx.pid); sleep 1"));
    expect(succeeded(await machine.run(ASK))).toBe("1026003 hello\n");
    expect(succeeded(await machine.run("cat /tmp/error.log"))).not.toContain("[warn]");
  });
});
