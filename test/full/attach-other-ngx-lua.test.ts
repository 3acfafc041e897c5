// An ngx_lua whose structure of a coroutine is not the one that the attached glue knows, as a later
// release may have it: nffi is refused with the reason, and no worker crashes.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { EXIT_CODES } from "../../src/errors.js";
import { runCli } from "../support/cli.js";
import { withNginx } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";
import { prebuiltFiles } from "../support/prebuilt.js";
import { temporaryFolder } from "../support/temporary.js";
import { unpatchedOpenresty } from "../support/unpatched-openresty.js";

const BEFORE = "struct ngx_http_lua_co_ctx_s {\n";
const FIELD = "    void                    *test_field;\n";

/** `nginx`: the directory of nginx's source, beside ngx_lua's. */
function withOtherCoroutines(nginx: string): void {
  const bundle = join(nginx, "..");
  const name = readdirSync(bundle).find((each) => each.startsWith("ngx_lua-")) ?? "";
  const file = join(bundle, name, "src/ngx_http_lua_common.h");
  const text = readFileSync(file, "utf8");
  if (text.split(BEFORE).length !== 2) throw new Error(`${file} has another text`);
  writeFileSync(file, text.replace(BEFORE, BEFORE + FIELD));
}

let other: string;

beforeAll(async () => {
  await prebuiltFiles();
  other = (await unpatchedOpenresty("other-coroutines", withOtherCoroutines)).prefix;
});

test("nffi attach refuses it with the reason", async () => {
  const nginx = join(other, "nginx/sbin/nginx");
  const prefix = join(temporaryFolder(), "attached");
  const result = await runCli(["attach", "--nginx", nginx, "--prefix", prefix]);
  expect(result.stderr).toContain("keeps a waiting coroutine in another way");
  expect(result.exitCode).toBe(EXIT_CODES["proof-failed"]);
});

test("in a product that was attached before, each call is an error", async () => {
  const attached = await builtOpenresty("attached");
  const path = `${attached}/lualib/?.lua;${other}/lualib/?.lua;;`;
  const http = `lua_package_path "${path}"; lua_package_cpath "${other}/lualib/?.so;;";`;
  const server = `location / { content_by_lua_block {
    local rt = assert(require("resty.nffi").load("${attached}/nffi/lib/libnffi_echo.so"))
    local function call() return (select(3, rt:call("x"))) end
    local inside = ngx.thread.spawn(function() return coroutine.wrap(call)() end)
    ngx.print(select(2, ngx.thread.wait(inside)), " ", call())
    inside = nil
    collectgarbage()
    ngx.sleep(0.01)
  } }`;
  await withNginx({ prefix: other, http, server }, async (running) => {
    const workers = running.workers();
    expect(await running.get("/")).toBe("unsupported_nginx unsupported_nginx");
    expect(await running.get("/")).toBe("unsupported_nginx unsupported_nginx");
    expect(running.workers()).toEqual(workers);
  });
});
