// Where a module is looked for when nginx was started with `-p .`, as many are while developing.
import { expect, test } from "vitest";
import { withNginx } from "../support/nginx.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";

test("a module is also resolved relative to a relative prefix", async () => {
  const options = {
    prefix: await builtOpenresty(anySuite),
    relativePrefix: true,
    files: { "app/hello.mjs": "export const hello = () => process.cwd();" },
    server: `location / { content_by_lua_block {
      local rt = assert(require("resty.nffi").load("node", { module = "app/hello.mjs", directory = "app" }))
      ngx.print(assert(rt.methods:hello()))
    } }`,
  };
  await withNginx(options, async (nginx) => {
    expect(await nginx.get("/")).toBe(`${nginx.dir}/app`);
  });
});
