// `nffi attach` on an OpenResty that nffi has not touched, with the layout of the official
// packages: what is installed goes into site/, which its Lua searches, so nginx.conf needs no line.
import { realpathSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CliResult } from "../support/cli.js";
import { canEnterDebian, DebianMachine } from "../support/debian-nginx.js";
import { prebuiltFiles } from "../support/prebuilt.js";
import { unpatchedOpenresty } from "../support/unpatched-openresty.js";

function succeeded(result: CliResult): string {
  expect(result.exitCode, result.stdout + result.stderr).toBe(0);
  return result.stdout;
}

describe.runIf(canEnterDebian)("nffi attach to an OpenResty", () => {
  let machine: DebianMachine;
  let openresty = "";
  const files = async () => succeeded(await machine.run(`find ${openresty}/site | sort`));

  beforeAll(async () => {
    await prebuiltFiles();
    openresty = realpathSync((await unpatchedOpenresty()).prefix);
    machine = await DebianMachine.start();
  });
  afterAll(() => machine?.remove());

  test("installs into site/, needs no line in nginx.conf, answers, and leaves nothing", async () => {
    const before = await files();
    const shown = succeeded(await machine.nffi(`attach --nginx ${openresty}/bin/openresty`));
    expect(shown).toContain(`files in ${openresty}/site, and it works\n`);
    expect(shown).toContain("nginx.conf needs no line: this nginx searches the prefix already");
    expect(shown).toMatch(/ new-runtime NAME\n$/);
    const answer = await machine.run(`
mkdir -p /tmp/app/logs && cd /tmp/app
cat > nginx.conf <<'END'
events {}
http {
    access_log off;
    server {
        listen 127.0.0.1:8096;
        location / {
            content_by_lua_block {
                local echo = "${openresty}/site/nffi/lib/libnffi_echo.so"
                local rt = assert(require("resty.nffi").load(echo))
                ngx.say(assert(rt.methods:echo("from site")))
            }
        }
    }
}
END
${openresty}/bin/openresty -p /tmp/app -c nginx.conf
curl -sS http://127.0.0.1:8096/
${openresty}/bin/openresty -p /tmp/app -c nginx.conf -s stop`);
    expect(succeeded(answer)).toBe("from site\n");
    expect(succeeded(await machine.nffi(`verify ${openresty}/site`))).toContain("and it works");
    succeeded(await machine.nffi(`detach ${openresty}/site`));
    expect(await files()).toBe(before);
  });
});
