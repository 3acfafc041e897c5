// `nffi attach` on Debian's own packages of nginx, as apt-get installs them, from the first command
// to `nffi detach`. The tests share one machine and are in the order of a user's day.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Report } from "../../src/bench/report.js";
import { EXIT_CODES } from "../../src/errors.js";
import { elfObjectOf } from "../../src/io/elf-object.js";
import { type CliResult, repository } from "../support/cli.js";
import { canEnterDebian, DebianMachine, debianNginx } from "../support/debian-nginx.js";
import { prebuiltFiles } from "../support/prebuilt.js";

const CONF = "/etc/nginx/conf.d/nffi.conf";
const PREFIX = "/usr/local/nffi";

/** Starts the system's nginx with the smallest example, or reloads it. */
const SITE = `
cat > /etc/nginx/conf.d/hello.conf <<'END'
server {
    listen 127.0.0.1:8099;
    location /hello {
        content_by_lua_block {
            local rt = require("resty.nffi").load("node", { module = "/srv/hello.ts" })
            ngx.say(assert(rt.methods:hello({ name = ngx.var.arg_name })).greeting)
        }
    }
}
END
cat > /srv/hello.ts <<'END'
export const hello = (req: { name: string }) => ({ greeting: \`hello \${req.name}\` });
END
chmod -R a+rX /srv`;

const ASK = "curl -sS 'http://127.0.0.1:8099/hello?name=World'";

function succeeded(result: CliResult): string {
  expect(result.exitCode, result.stdout + result.stderr).toBe(0);
  return result.stdout;
}

describe.runIf(canEnterDebian)("nffi attach to Debian's nginx", () => {
  let machine: DebianMachine;
  let before = "";
  const files = async () =>
    succeeded(await machine.run("find /usr/local /etc/nginx /usr/lib/nginx /usr/share/lua | sort"));

  beforeAll(async () => {
    await prebuiltFiles();
    machine = await DebianMachine.start();
    before = await files();
  });
  afterAll(() => machine?.remove());

  test("--dry-run writes nothing and prints the line for nginx.conf", async () => {
    const shown = succeeded(await machine.nffi("attach --dry-run --verbose"));
    expect(shown).toMatch(/^nginx: nginx [\d.]+ \(\/usr\/sbin\/nginx\)/);
    expect(shown).toMatch(/symbols: all \d+ of nginx and 5 of ngx_lua are there/);
    expect(shown).toContain(`  lua_package_path "${PREFIX}/lualib/?.lua;;";\n`);
    expect(await files()).toBe(before);
  });

  test("a configuration that nginx refuses is named, as no reload would work", async () => {
    const file = "/etc/nginx/conf.d/broken.conf";
    succeeded(await machine.run(`echo 'nonsense on;' > ${file}`));
    const result = await machine.nffi("attach --dry-run");
    succeeded(await machine.run(`rm ${file}`));
    const shown = succeeded(result).replaceAll(/\d+#\d+: /g, "");
    expect(shown).toContain("nffi can be attached");
    const refused = 'nginx refuses /etc/nginx/nginx.conf: [emerg] unknown directive "nonsense"';
    expect(shown).toContain(`warning: ${refused}`);
    expect(shown).toContain("correct it first: until then, a reload changes nothing");
    expect(succeeded(await machine.nffi("attach --dry-run"))).not.toContain("refuses");
  });

  test("a user who may not write to the prefix is told so, and nothing is left", async () => {
    const asUser = "setpriv --reuid=33 --regid=33 --clear-groups env HOME=/tmp";
    const result = await machine.nffi("attach", asUser);
    expect(result.exitCode).toBe(EXIT_CODES["install-failed"]);
    expect(result.stderr).toContain(`the prefix ${PREFIX} is not writable: permission denied`);
    expect(result.stdout).not.toContain("refuses");
    expect(result.stderr).toContain("run this as root, or choose another directory with --prefix");
    expect(await files()).toBe(before);
  });

  test("--write-conf keeps files of others, and takes back one that nginx refuses", async () => {
    const foreign = await machine.nffi("attach --write-conf /etc/nginx/nginx.conf");
    expect(foreign.exitCode).toBe(EXIT_CODES["foreign-files"]);
    expect(foreign.stderr).toContain("/etc/nginx/nginx.conf: the file exists already");
    const wrong = "/etc/nginx/modules-enabled/99-nffi.conf";
    const refused = await machine.nffi(`attach --write-conf ${wrong}`);
    expect(refused.exitCode).toBe(EXIT_CODES["install-failed"]);
    expect(refused.stderr).toContain('"lua_package_path" directive is not allowed here');
    expect(await files()).toBe(before);
  });

  test("the two commands of a newcomer, and nginx answers by a call to TypeScript", async () => {
    succeeded(await machine.run(`${SITE}\nnginx`));
    // neither root's umask nor its TMPDIR may close the files to nginx's workers
    const tmp = `/tmp/of root ${"x".repeat(80)}`;
    const closed = `mkdir -m 700 '${tmp}' && export TMPDIR='${tmp}' && umask 077 &&`;
    const shown = succeeded(await machine.nffi(`attach --write-conf ${CONF}`, closed));
    expect(
      succeeded(await machine.run(`ls -A '${tmp}'; ls -d /tmp/nffi-* 2>/dev/null; true`)),
    ).toBe("");
    const unreadable = `find ${PREFIX} ${CONF} ! -type l ! -perm -a=r -o -type d ! -perm -a=x`;
    expect(succeeded(await machine.run(unreadable))).toBe("");
    expect(shown).toMatch(
      /^nginx [\d.]+ \(\/usr\/sbin\/nginx\), attached: \d+ files in \/usr\/local\/nffi, and it works\n/,
    );
    expect(shown).toContain(`wrote ${CONF}; reload nginx\n`);
    const script = `nginx -s reload; for i in $(seq 100); do ${ASK} 2>&1 | grep ^hello && break; sleep 0.1; done`;
    expect(succeeded(await machine.run(script))).toBe("hello World\n");
  });

  test("again: the files are replaced, and the line stays", async () => {
    const shown = succeeded(await machine.nffi(`attach --json --write-conf ${CONF}`));
    const { installed, nginx, glue, conf, hints } = JSON.parse(shown);
    expect({ installed, glue, conf, hints }).toEqual({
      installed: true,
      glue: "prebuilt",
      conf: CONF,
      hints: [],
    });
    const program = await elfObjectOf(join(debianNginx(), "usr/sbin/nginx"));
    expect(nginx).toMatchObject({
      path: "/usr/sbin/nginx",
      openresty: false,
      buildId: program?.buildId,
      stream: false,
    });
    expect(succeeded(await machine.run(ASK))).toBe("hello World\n");
  });

  test("another --write-conf is refused, and the file stays with the product", async () => {
    const other = "/etc/nginx/conf.d/other.conf";
    const refused = await machine.nffi(`attach --write-conf ${other}`);
    expect(refused.exitCode).toBe(EXIT_CODES.usage);
    expect(refused.stderr).toContain(`the line is in ${CONF} already`);
    expect(await files()).not.toContain(other);
    // the lock of another nffi
    succeeded(
      await machine.run(
        `flock ${PREFIX} sleep 60 >/dev/null 2>&1 & echo $! > /tmp/holder; sleep 0.2`,
      ),
    );
    for (const command of ["detach", "verify", "attach"]) {
      const busy = await machine.nffi(command);
      expect(busy.stderr).toContain("is in use by another nffi");
      expect(busy.exitCode).toBe(EXIT_CODES.locked);
    }
    succeeded(await machine.run(`kill $(ps -o pid= --ppid $(cat /tmp/holder)); test -e ${CONF}`));
  });

  test("nffi info, list, verify and new-runtime find it and say that it is attached", async () => {
    expect(succeeded(await machine.nffi("info"))).toMatch(/^attached to nginx [\d.]+ .*build id/m);
    expect(succeeded(await machine.nffi("list"))).toMatch(/nginx .*, attached +\/usr\/local\/nffi/);
    expect(succeeded(await machine.nffi("verify"))).toContain("and it works");
    const made = succeeded(await machine.nffi("new-runtime --yes hello-there", "cd /tmp;"));
    expect(made).toMatch(/^using nginx .* attached in \/usr\/local\/nffi/);
    expect(made).toContain("  .nffi/openresty -> /usr/local/nffi\n");
  });

  test("nffi bench compares it with a second product, and with lua-resty-ffi", async () => {
    // the interface of lua-resty-ffi, without its queue
    const module = `
ngx.load_ffi = function(lib)
    if lib:find("python") then return nil, 7 end
    return setmetatable({}, { __index = function()
        return function(_, request) ngx.sleep(0) return true, request end
    end })
end`;
    const quick = "--rounds 1 --ms 10 --sizes 64 --together 1 --cpus all --json";
    const result = await machine.run(`
mkdir -p /opt/ffi && cd /opt/ffi && touch libffi_nodejs.so libresty_ffi_python.so
cat > resty_ffi.lua <<'END'
${module}
END
${process.execPath} ${join(repository, "bin/nffi.mjs")} bench ${PREFIX} --against ${PREFIX} --resty-ffi . \
    --lang typescript python ${quick}`);
    const report: Report = JSON.parse(succeeded(result));
    expect(report.against).toBe(report.product);
    const names = report.settings[0]?.results.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(["nffi, TypeScript", "second nffi attached, TypeScript"]),
    );
    expect(names).toContain("lua-resty-ffi, TypeScript");
    const reason = expect.stringContaining("libffi_init() returned 7");
    expect(report.leftOut).toContainEqual({ name: "lua-resty-ffi, Python", reason });
    succeeded(await machine.run("rm -r /opt/ffi"));
  });

  test("nffi-nginx runs a project, with nothing of it in the directories of the system", async () => {
    const shown = succeeded(
      await machine.run(`
mkdir /tmp/project && cd /tmp/project && cp /srv/hello.ts .
cat > nginx.conf <<'END'
error_log logs/error.log notice;
events {}
http {
    server {
        listen 127.0.0.1:8098;
        location / {
            content_by_lua_block {
                ngx.req.read_body()
                local rt = require("resty.nffi").load("node", { module = "../hello.ts" })
                ngx.say(assert(rt.methods:hello({ name = ngx.var.arg_name })).greeting)
            }
        }
    }
}
END
head -c 100000 /dev/zero > body
tool=${PREFIX}/nffi/bin/nffi-nginx
was=$(find /var/lib/nginx /var/log/nginx /run | sort | cksum; stat -c %u:%g /var/lib/nginx/*)
$tool start
curl -sS --data-binary @body 'http://127.0.0.1:8098/?name=project'
$tool reload
$tool stop
$tool start --port 8097
$tool reload
curl -sS 'http://127.0.0.1:8097/?name=other'
$tool stop
is=$(find /var/lib/nginx /var/log/nginx /run | sort | cksum; stat -c %u:%g /var/lib/nginx/*)
[ "$was" = "$is" ] && ls run`),
    );
    expect(shown).toContain("\nhello project\n");
    expect(shown).toContain("\nhello other\n");
    expect(shown).toContain("client_body_temp\n");
    expect(shown).toContain("logs\n");
  });

  test("nffi verify proves an upgraded nginx, and records it", async () => {
    const id = (await elfObjectOf(join(debianNginx(), "usr/sbin/nginx")))?.buildId ?? "";
    const other = id.replace(/^../, "ff");
    // As an upgrade does it: another file under the name, while the old one still runs.
    const upgrade = `cp /usr/sbin/nginx /tmp/new && perl -pi -e 'BEGIN { $/ = undefined } s/\\x${id.slice(0, 2)}${pairs(id.slice(2))}/\\xff${pairs(id.slice(2))}/' /tmp/new && mv /tmp/new /usr/sbin/nginx`;
    succeeded(await machine.run(upgrade));
    const shown = succeeded(await machine.nffi("verify", "umask 077;"));
    expect(shown).toContain(`the build id of nginx: ${id} -> ${other}`);
    expect(succeeded(await machine.nffi("verify"))).not.toContain("build id");
    expect(succeeded(await machine.run(`find ${PREFIX} -type f ! -perm -a=r`))).toBe("");
  });

  test("a changed file is found, and nothing of it is started", async () => {
    const file = `${PREFIX}/lualib/resty/nffi.lua`;
    succeeded(await machine.run(`cp -p ${file} /tmp/nffi.lua && echo >> ${file}`));
    const result = await machine.nffi("verify");
    expect(result.exitCode).toBe(EXIT_CODES["verify-failed"]);
    expect(result.stderr).toContain("changed lualib/resty/nffi.lua");
    expect(result.stderr).toContain(
      "attach --nginx /usr/sbin/nginx --conf /etc/nginx/nginx.conf --prefix /usr/local/nffi",
    );
    succeeded(await machine.run(`cp -p /tmp/nffi.lua ${file}`));
  });

  test("nginx.conf has a lua_package_path already: how to change it is printed", async () => {
    succeeded(
      await machine.run(
        `printf 'lua_package_path "/opt/?.lua;;";\\n' > /etc/nginx/conf.d/path.conf; mv ${CONF} /tmp`,
      ),
    );
    const shown = succeeded(await machine.nffi("attach --prefix /opt/nffi"));
    expect(shown).toContain('  lua_package_path "/opt/nffi/lualib/?.lua;/opt/?.lua;;";\n');
    const refused = await machine.nffi(`attach --prefix /opt/nffi --write-conf /tmp/x.conf`);
    expect(refused.exitCode).toBe(EXIT_CODES.usage);
    expect(refused.stderr).toContain("/etc/nginx/conf.d/path.conf has a lua_package_path already");
    succeeded(await machine.nffi("detach /opt/nffi"));
    succeeded(await machine.run(`rm /etc/nginx/conf.d/path.conf; mv /tmp/nffi.conf ${CONF}`));
  });

  test("a full disk is no fault of nffi, and everything is as it was", async () => {
    const full = "mkdir -p /opt/full && mount -t tmpfs -o size=1m full /opt/full;";
    const result = await machine.nffi("attach --prefix /opt/full/nffi", full);
    expect(result.stderr).toMatch(
      /cannot write (to )?\/opt\/full\/nffi.*: no space left on the device/,
    );
    expect(result.exitCode).toBe(EXIT_CODES["install-failed"]);
    expect(succeeded(await machine.run("ls -A /opt/full; umount /opt/full; rmdir /opt/full"))).toBe(
      "",
    );
  });

  test("a changed file stays at detach, and the hint of the next attach works", async () => {
    const attach = "attach --prefix /opt/t/new/nffi";
    const withConf = `${attach} --write-conf /opt/t/conf/d/nffi.conf`;
    succeeded(await machine.run(`mkdir /opt/t; mv ${CONF} /tmp`));
    succeeded(await machine.nffi(withConf));
    succeeded(await machine.run("rm -r /opt/t/conf"));
    // the file of --write-conf is not claimed to be there
    expect(succeeded(await machine.nffi(attach))).toContain("add this line to http { }");
    succeeded(await machine.run("echo -- >> /opt/t/new/nffi/lualib/resty_ffi.lua"));
    expect(succeeded(await machine.nffi("detach /opt/t/new/nffi"))).toContain(
      "kept 1 file that changed",
    );
    const refused = await machine.nffi(attach);
    expect(refused.exitCode).toBe(EXIT_CODES["foreign-files"]);
    expect(refused.stderr).toContain("or replace them with --overwrite-foreign");
    succeeded(await machine.nffi(`${withConf} --overwrite-foreign`));
    succeeded(await machine.nffi("detach /opt/t/new/nffi"));
    // the directories of --write-conf are removed, what was kept before stays
    expect(
      succeeded(
        await machine.run(`cd /opt/t && find * && rm -r /opt/t && mv /tmp/nffi.conf ${CONF}`),
      ),
    ).toBe("new\nnew/nffi\nnew/nffi/lualib\n");
  });

  test("nffi detach removes exactly what was installed, and names what runs on", async () => {
    succeeded(
      await machine.run("nginx -s stop; rm /etc/nginx/conf.d/hello.conf; sleep 0.3; nginx"),
    );
    const shown = succeeded(await machine.nffi("detach"));
    expect(shown).toContain(`removed ${CONF}\n`);
    expect(await files()).toBe(before);
    succeeded(await machine.run("nginx -t -q && nginx -s stop"));
    const again = await machine.nffi("detach");
    expect(again.exitCode).toBe(EXIT_CODES["product-missing"]);
  });
});

/** "ab12" as "\xab\x12" */
function pairs(hex: string): string {
  return hex.replace(/../g, "\\x$&");
}
