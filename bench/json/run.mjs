// JSON of nffi against lua-cjson in a worker, in turns, with and without the JIT compiler.
//
//   node bench/json/run.mjs PREFIX
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../free-port.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const prefix = resolve(process.argv[2] ?? ".nffi/openresty");

const conf = (port) => `
daemon off; master_process off; pid nginx.pid; error_log error.log error;
events { worker_connections 64; }
http {
  access_log off;
  server {
    listen 127.0.0.1:${port};
    location / { content_by_lua_file json.lua; }
    location = /alive { return 204; }
  }
}`;

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
const port = await freePort();
mkdirSync(join(dir, "logs"));
copyFileSync(join(here, "json.lua"), join(dir, "json.lua"));
writeFileSync(join(dir, "nginx.conf"), conf(port));
const nginx = spawn(join(prefix, "nginx/sbin/nginx"), ["-p", dir, "-c", "nginx.conf"], {
  stdio: ["ignore", "ignore", "inherit"],
});
try {
  const url = `http://127.0.0.1:${port}/`;
  const answers = () =>
    fetch(`${url}alive`).then(
      () => true,
      () => false,
    );
  for (let i = 0; i < 200 && !(await answers()); i++) {
    await new Promise((done) => setTimeout(done, 50));
  }
  for (const jit of ["on", "off"]) {
    console.log(`JIT compiler ${jit}; microseconds`);
    console.log(await (await fetch(`${url}?jit=${jit}`)).text());
  }
} finally {
  nginx.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
}
