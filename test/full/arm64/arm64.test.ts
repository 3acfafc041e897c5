// The prebuilt files for arm64 work, under qemu-user: the functional tests of libnffi, and calls
// from Debian's own nginx for arm64 to native code and to TypeScript.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { layOut } from "../../../src/attach/lay-out.js";
import { findPrebuilt, isPrebuilt } from "../../../src/attach/prebuilt.js";
import { shipped } from "../../../src/host/package.js";
import { elfObjectOf } from "../../../src/io/elf-object.js";
import { freePort } from "../../../src/io/port.js";
import { repository } from "../../support/cli.js";
import { COMPILER_ENV, prebuiltFiles } from "../../support/prebuilt.js";
import { temporaryFolder } from "../../support/temporary.js";
import { arm64Root, CC, emulated } from "./machine.js";
import { SKIPPED } from "./skipped.js";

let root: string;
let prebuilt: string;

beforeAll(async () => {
  prebuilt = await prebuiltFiles();
  root = arm64Root();
});

test("libnffi passes its functional tests", () => {
  const build = temporaryFolder();
  mkdirSync(join(build, "test"));
  writeFileSync(join(build, "nffi-supervisor"), ""); // what needs it is skipped
  const sources = readdirSync(join(repository, "test/c/lib")).filter((one) => /^test_/.test(one));
  const programs = sources.map((one) => join(build, "test", basename(one, ".c")));
  const variables = {
    BUILD_DIR: build,
    CC: CC.join(" "),
    CFLAGS: "-O2 -g0",
    TEST_LIBRARY: join(prebuilt, "arm64/libnffi.a"),
  };
  const args = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const old = ["-o", join(build, "nffi-supervisor")];
  execFileSync("make", ["-C", join(repository, "c-src"), "-j2", ...old, ...programs, ...args], {
    env: { ...process.env, ...COMPILER_ENV },
    stdio: "pipe",
  });
  const lines = programs.flatMap((program) => {
    const done = spawnSync("qemu-aarch64", emulated(root, program), { encoding: "utf8" });
    return done.stdout.split("\n");
  });
  const passed = lines.filter((line) => line.startsWith("ok "));
  const failed = lines.filter((line) => line.startsWith("not ok "));
  const isSkipped = (line: string) => SKIPPED.some((name) => line.startsWith(`not ok ${name}: `));
  expect(failed.filter((line) => !isSkipped(line))).toEqual([]);
  console.log(`${passed.length} passed, ${failed.length} that emulation cannot run`);
  expect(passed.length).toBeGreaterThan(150);
});

test("Debian's nginx calls native code and TypeScript", async () => {
  const prefix = await laidOut();
  const port = await freePort();
  const node = join(prefix, "node");
  const words = emulated(root, join(root, "usr/bin/node")).map((word) => `'${word}'`);
  writeFileSync(node, `#!/bin/sh\nexec qemu-aarch64 ${words.join(" ")} "$@"\n`, { mode: 0o755 });
  writeFileSync(
    join(prefix, "hello.mjs"),
    'export const hello = ({ name }) => ["hello", name, "from", process.arch].join(" ");\n',
  );
  writeFileSync(join(prefix, "nginx.conf"), configuration(prefix, port));
  const program = join(root, "usr/sbin/nginx");
  const qemu = emulated(root, program, compiledShim(prefix));
  const options = ["-p", prefix, "-c", join(prefix, "nginx.conf")];
  const nginx = spawn("qemu-aarch64", [...qemu, ...options], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  nginx.stderr.on("data", (text) => {
    log += text;
  });
  const ended = new Promise((resolve) => nginx.once("exit", resolve));
  onTestFinished(async () => {
    nginx.kill("SIGTERM");
    await ended;
  });
  const ask = async (path: string) => {
    for (const end = Date.now() + 60_000; ; await new Promise((done) => setTimeout(done, 200))) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);
      if (response) return response.text();
      if (Date.now() > end) throw new Error(`no response:\n${log}`);
    }
  };
  expect(await ask("/native"), log).toBe("echo\n");
  expect(await ask("/typescript"), log).toBe("hello World from arm64\n");
});

/** An attached product with the prebuilt files; its supervisor is this machine's. */
async function laidOut(): Promise<string> {
  const prefix = join(temporaryFolder(), "attached");
  const platform = { os: "linux", arch: "arm64", glibc: "2.41", kernel: "6.1.0", cpus: 1 };
  const files = await findPrebuilt({ platform, dir: prebuilt });
  const glue = await elfObjectOf(join(prebuilt, "arm64/libnffi_glue.so"));
  const path = join(root, "usr/sbin/nginx");
  const ngxLuaPath = join(root, "usr/lib/nginx/modules/ngx_http_lua_module.so");
  const [program, ngxLua] = [await elfObjectOf(path), await elfObjectOf(ngxLuaPath)];
  if (!isPrebuilt(files) || !glue || !program?.buildId || !ngxLua?.buildId) {
    throw new Error("not the files of an nginx for arm64");
  }
  const nginx = {
    ...{ path, name: "nginx", version: "1.26.3", core: "1.26.3", openresty: false },
    ...{ buildId: program.buildId, ngxLua: "0.10.28", ngxLuaPath, stream: false },
    ...{ ngxLuaBuildId: ngxLua.buildId, luaRestyCore: "0.1.31", conf: "", modules: [] },
  };
  const projectFiles = { program: "", "main.conf": "", "http.conf": "" };
  const java = { reason: "not tested here" };
  const binaries = { origin: "prebuilt" as const, files, glue, java };
  const before = { existing: [], made: [] };
  const request = { prefix, stagedPrefix: prefix, binaries, nginx, projectFiles, ...before };
  await layOut(request, shipped);
  const supervisor = join(prefix, "nffi/bin/nffi-supervisor");
  copyFileSync(join(prebuilt, process.arch, "nffi-supervisor"), supervisor);
  chmodSync(prefix, 0o755);
  return prefix;
}

function compiledShim(folder: string): string {
  const shim = join(folder, "clone.so");
  const [program = "", ...words] = CC;
  const source = join(repository, "test/full/arm64/clone.c");
  execFileSync(program, [...words, "-O1", "-shared", "-fPIC", "-o", shim, source], {
    env: { ...process.env, ...COMPILER_ENV },
  });
  return shim;
}

function configuration(prefix: string, port: number): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
    daemon off; master_process off; error_log stderr info; pid ${prefix}/nginx.pid;
    load_module /usr/lib/nginx/modules/ndk_http_module.so;
    load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
    events {}
    http {
      access_log off;
      lua_package_path "${prefix}/lualib/?.lua;;";
      ${temporary.map((name) => `${name}_temp_path ${prefix}/${name};`).join("\n")}
      server {
        listen 127.0.0.1:${port};
        location /native { content_by_lua_block {
          local rt = assert(require("resty.nffi").load("${prefix}/nffi/lib/libnffi_echo.so"))
          ngx.say(rt:call("echo"))
        } }
        location /typescript { content_by_lua_block {
          local options = { module = "${prefix}/hello.mjs", program = "${prefix}/node" }
          local rt = assert(require("resty.nffi").load("node", options))
          ngx.say(rt.methods:hello({ name = "World" }))
        } }
      }
    }`;
}
