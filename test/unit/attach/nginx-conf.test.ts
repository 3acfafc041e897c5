import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { directivesOf, lastError, readConf } from "../../../src/attach/nginx-conf.js";
import { temporaryFolder } from "../../support/temporary.js";

describe("directivesOf", () => {
  const wordsOf = (text: string, name: string) =>
    directivesOf([{ path: "/nginx.conf", text }], name).map(({ words }) => words);

  test.each([
    ["user www-data;", [["www-data"]]],
    ["user  www-data\n\t adm ;", [["www-data", "adm"]]],
    ["daemon off;user 'a b';", [["a b"]]],
    ['events {} user "a;b";', [["a;b"]]],
    ["http {user nobody;}", [["nobody"]]],
    ["user a; user b;", [["a"], ["b"]]],
  ])("finds the words of %j", (text, words) => {
    expect(wordsOf(text, "user")).toEqual(words);
  });

  test.each([
    "# user www-data;",
    "daemon off; # user www-data;",
    "superuser www-data;",
    "user_agent www-data;",
    "user;",
    "proxy_set_header user x;",
  ])("finds nothing in %j", (text) => {
    expect(wordsOf(text, "user")).toEqual([]);
  });

  test("keeps what looks like a comment inside of a word", () => {
    expect(wordsOf("lua_package_path /a#b/?.lua;;\n;", "lua_package_path")).toEqual([]);
    expect(wordsOf('lua_package_path "/a#b/?.lua;;";', "lua_package_path")).toEqual([
      ["/a#b/?.lua;;"],
    ]);
  });

  test("names the file of each", () => {
    const files = ["/a", "/b"].map((path) => ({ path, text: "user x;" }));
    expect(directivesOf(files, "user").map(({ file }) => file)).toEqual(["/a", "/b"]);
  });
});

describe("lastError", () => {
  test.each([
    [
      'nginx: [emerg] unknown directive "x" in /c:1\nnginx: configuration file /c test failed\n',
      '[emerg] unknown directive "x" in /c:1',
    ],
    [
      "2026/11/30 10:00:00 [emerg] 12#12: no port\n2026/11/30 10:00:00 [alert] 12#12: gone\n",
      "[emerg] 12#12: no port",
    ],
    ["nginx: [alert] could not open error log file\n", "[alert] could not open error log file"],
    ["nginx: [warn] conflicting server name\n", undefined],
  ])("of %j", (output, reason) => {
    expect(lastError(output)).toBe(reason);
  });
});

describe("readConf", () => {
  const context = { env: process.env, signal: new AbortController().signal };

  /** An nginx that answers -T with the script, with the files below its prefix. */
  function nginxOf(script: string, files: Readonly<Record<string, string>> = {}) {
    const prefix = temporaryFolder();
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(prefix, name)), { recursive: true });
      writeFileSync(join(prefix, name), text);
    }
    const path = join(prefix, "nginx");
    writeFileSync(path, `#!/bin/sh\n${script}\n`);
    chmodSync(path, 0o755);
    return { path, prefix, conf: join(prefix, "conf/nginx.conf") };
  }

  test("splits what nginx -T prints, and resolves modules relative to the nginx prefix", async () => {
    const nginx = nginxOf(`cat <<'END'
# configuration file /etc/nginx/nginx.conf:
load_module modules/a.so;
# configuration file of mine
include conf.d/*.conf;

# configuration file /etc/nginx/conf.d/b.conf:
load_module /b.so; load_module modules/a.so;
END`);
    const conf = await readConf(nginx, context);
    expect(conf.files.map(({ path }) => path)).toEqual([
      "/etc/nginx/nginx.conf",
      "/etc/nginx/conf.d/b.conf",
    ]);
    expect(conf.files[0]?.text).toContain("# configuration file of mine\n");
    expect(conf.modules).toEqual([join(nginx.prefix, "modules/a.so"), "/b.so"]);
    expect(conf.unread).toBeUndefined();
  });

  test("reads the files where nginx -T fails, and says why", async () => {
    const nginx = nginxOf(`echo 'nginx: [emerg] open() "/key" failed' >&2; exit 1`, {
      "conf/nginx.conf": "include more/*.conf; include one.conf; include absent.conf;",
      "conf/more/b.conf": "load_module /b.so;",
      "conf/more/a.conf": "load_module /a.so; include nginx.conf;",
      "conf/more/.hidden.conf": "load_module /hidden.so;",
      "conf/more/a.conf~": "load_module /backup.so;",
      "conf/one.conf": "load_module /one.so;",
    });
    const conf = await readConf(nginx, context);
    expect(conf.modules).toEqual(["/a.so", "/b.so", "/one.so"]);
    expect(conf.unread).toBe('[emerg] open() "/key" failed');
  });

  test("gives the exit code of an nginx -T that fails without a word", async () => {
    expect((await readConf(nginxOf("exit 7"), context)).unread).toBe("nginx -T: exit code 7");
  });
});
