// A new machine with Debian's own nginx and no compiler: the commands of the README attach nffi,
// and the smallest example answers.
import { basename } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packNffi } from "../support/docker-project.js";
import { prebuiltFiles } from "../support/prebuilt.js";
import { temporaryFolderOfAll } from "../support/temporary.js";
import { BareRoot, canEnterRoots } from "./bare-root.js";

const PACKAGES = "nginx libnginx-mod-http-lua curl";

const HELLO = `export const hello = ({ name }) => ({ greeting: "hello " + name });`;

const SERVER = `server { listen 127.0.0.1:8394; location / { content_by_lua_block {
  local rt = require("resty.nffi").load("node", { module = "/srv/hello.ts" })
  ngx.say(assert(rt.methods:hello({ name = "World" })).greeting)
} } }`;

describe.runIf(canEnterRoots)("a bare trixie with Debian's nginx", () => {
  const folder = temporaryFolderOfAll();
  let root: BareRoot;
  let tarball: string;

  beforeAll(async () => {
    await prebuiltFiles();
    tarball = await packNffi(folder);
    root = new BareRoot("trixie", "attach");
    root.put(tarball);
    const install = await root.run("root", `apt-get update && apt-get install -y ${PACKAGES}`);
    expect(install.exitCode, install.stderr).toBe(0);
  });
  afterAll(() => root?.remove());

  test("has no compiler, attaches from the package, and answers", async () => {
    const start = Date.now();
    const done = await root.run(
      "root",
      `set -e
      for program in cc gcc clang make; do if command -v $program; then exit 9; fi; done
      printf '%s' '${HELLO}' > /srv/hello.ts
      printf '%s' '${SERVER}' > /etc/nginx/conf.d/hello.conf
      npx --yes --package ./${basename(tarball)} nffi attach --write-conf /etc/nginx/conf.d/nffi.conf
      nginx
      for i in $(seq 100); do curl -sf http://127.0.0.1:8394/ && break; sleep 0.1; done
      nginx -s stop`,
    );
    console.log(`attached and answered after ${((Date.now() - start) / 1000).toFixed(1)} s`);
    expect(done.exitCode, done.stdout + done.stderr).toBe(0);
    expect(done.stdout).toContain("and it works\n");
    expect(done.stdout).toContain("hello World\n");
  });
});
