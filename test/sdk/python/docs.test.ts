// The Python that the documents print: it is taken from there and does what is said of it.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { codeBlocks } from "../../support/code-blocks.js";
import { content } from "../../support/lua.js";
import { withNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { temporaryFolder } from "../../support/temporary.js";
import { systemPython } from "./python.js";

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
});

test("docs/python.md: the first example answers", async () => {
  const [app = ""] = codeBlocks("docs/python.md", "python");
  const [lua = ""] = codeBlocks("docs/python.md", "lua");
  const server = content("/", `${lua} ngx.say(response and response.greeting or message)`);
  await withNginx({ prefix, server, files: { "app.py": app } }, async (nginx) => {
    expect(await nginx.get("/")).toBe("hello Ada\n");
  });
});

test("docs/python.md: asyncio, a stream and its loop in Lua", async () => {
  const [, app = "", ticks = ""] = codeBlocks("docs/python.md", "python");
  const server = content(
    "/",
    `local runtime = assert(require("resty.nffi").load("python", { module = "app.py", host = "worker",
        program = "${systemPython}" }))
    local sum = 0
    for value in runtime.streams:ticks(4) do sum = sum + value end
    for value in runtime.streams:count(5) do sum = sum + value end
    assert(runtime.methods:wait(0.01, { timeout = 5000 }))
    ngx.say(runtime.methods:hello({ name = "Ada" }).greeting, " ", sum)`,
  );
  const files = { "app.py": `${app}\n${ticks}` };
  await withNginx({ prefix, server, files, logLevel: "info" }, async (nginx) => {
    expect(await nginx.get("/")).toBe("hello Ada 16\n");
    await nginx.waitForLog("s are left");
  });
});

test("docs/python.md: the unit test passes", () => {
  const [app = "", , , unit = ""] = codeBlocks("docs/python.md", "python");
  const folder = temporaryFolder();
  writeFileSync(join(folder, "app.py"), app);
  writeFileSync(join(folder, "test_app.py"), unit);
  const env = { ...process.env, PYTHONPATH: `${prefix}/nffi/python` };
  execFileSync(systemPython, ["-m", "unittest", "test_app"], { cwd: folder, env, stdio: "pipe" });
});
