// Waits for the default timeout: a call in each language, hosted in each way, ends after 60 s; of
// a stream, only the first chunk is limited. Calls by ngx.load_ffi, and with a timeout of 0,
// continue.
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AllLanguages, buildAllLanguages } from "../sdk/shared/all-languages.js";
import { content } from "../support/lua.js";
import { withNginx } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";

let prefix: string;
let all: AllLanguages;

beforeAll(async () => {
  prefix = await builtOpenresty();
  all = await buildAllLanguages(prefix);
});

afterAll(() => all?.remove());

const STREAMS = `
const later = (ms) => new Promise((done) => setTimeout(done, ms));
export async function* slow() { yield 1; await later(65000); yield 2; }
export async function* never() { await later(300000); yield 1; }
`;

test("a call ends after 60 s unless it says otherwise", async () => {
  const echo = join(prefix, "nffi/lib/libnffi_echo.so");
  // requests of a minute and more, all at the same time, in timers of one worker
  const code = `
    local results, threads = {}, {}
    local function run(name, call)
        threads[#threads + 1] = ngx.thread.spawn(function()
            ngx.update_time()
            local start = ngx.now()
            local ok, a, b = call()
            ngx.update_time()
            results[#results + 1] = name .. " " .. math.floor((ngx.now() - start) / 2 + 0.5) * 2
                                    .. " s: " .. show(ok, a, b)
        end)
    end
    local load = require("languages")
    for _, name in ipairs { ${[...all.inWorker, ...all.processes].map((name) => `"${name}"`).join(", ")} } do
        local rt = load(name)
        assert(rt.methods:echo("x"))
        run(name, function() return rt.methods:sleep(70000) end)
    end
    local rt = assert(nffi.load("${echo}", { config = "4" }))
    run("never", function() return rt:call("64000", { method = "sleep", timeout = 0 }) end)
    local own = assert(nffi.load("${echo}", { config = "4", timeout = 0 }))
    run("own default", function() return own:call("64000", { method = "sleep" }) end)
    local old = assert(ngx.load_ffi("${echo}", "2"))
    run("ancestor", function() return old:sleep("64000") end)
    local streams = assert(nffi.load("node", { module = "streams.mjs" }))
    run("stream", function()
        local stream = streams.streams:slow()
        return stream:read(), stream:read()
    end)
    run("silent stream", function() return streams.streams:never():read() end)
    for _, thread in ipairs(threads) do ngx.thread.wait(thread) end
    table.sort(results)
    ngx.print(table.concat(results, "\\n"))`;
  const files = { "languages.lua": all.lua, "streams.mjs": STREAMS };
  const http = `lua_package_path "@DIR@/?.lua;;";`;
  const server = `${content(
    "= /begin",
    `assert(ngx.timer.at(0, function()
      local ngx_print, lines = ngx.print, {}
      local ngx = setmetatable({ print = function(text) lines[1] = text end }, { __index = ngx })
      ${code}
      ngx.shared.done:set("text", lines[1])
    end))`,
  )} ${content("= /text", `ngx.print(ngx.shared.done:get("text") or "")`)}`;
  await withNginx(
    { prefix, files, server, http: `${http} lua_shared_dict done 1m;` },
    async (nginx) => {
      await nginx.get("/begin");
      let text = "";
      for (const end = Date.now() + 120_000; text === "" && Date.now() < end; ) {
        await new Promise((done) => setTimeout(done, 500));
        text = await nginx.get("/text");
      }
      const lines = text.split("\n");
      expect(lines.length, nginx.errorLog()).toBe(all.inWorker.length + all.processes.length + 5);
      for (const name of [...all.inWorker, ...all.processes]) {
        expect(lines.find((line) => line.startsWith(`${name} `))).toMatch(
          / 60 s: nil\|method "sleep": the runtime ".*" has not responded within 60000 ms \(the default; .*\)\|timeout$/,
        );
      }
      const others = lines.filter((line) => /^(never|own|ancestor|stream|silent)/.test(line));
      expect(others).toEqual([
        expect.stringMatching(/^ancestor 64 s: true\|64000\|nil$/),
        expect.stringMatching(/^never 64 s: 64000\|/),
        expect.stringMatching(/^own default 64 s: 64000\|/),
        expect.stringMatching(
          /^silent stream 60 s: nil\|method "never": .* has not sent a chunk within 60000 ms \(the default/,
        ),
        expect.stringMatching(/^stream 66 s: 1\|2\|/),
      ]);
    },
  );
});
