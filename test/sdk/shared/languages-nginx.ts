// The nginx of languages.test.ts: a location for each thing that a test asks a runtime.
import { readFileSync } from "node:fs";
import type { NginxOptions } from "../../support/nginx.js";
import type { AllLanguages } from "./all-languages.js";

// self-signed for localhost, valid for a hundred years, used by tests only
const CERTIFICATE = readFileSync(new URL("../../fixtures/localhost.pem", import.meta.url), "utf8");

/** Part of each configuration of /config. */
export const SECRET = "s3cret-of-tenant";

export const content = (code: string) => `content_by_lua_block { ${code} }`;

/** No request of this nginx loads a runtime unless it asks for one. */
export const nginxOfLanguages = (
  prefix: string,
  all: AllLanguages,
  port: number,
): NginxOptions => ({
  prefix,
  http: `lua_package_path "$prefix?.lua;;"; server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate @DIR@/localhost.pem;
    ssl_certificate_key @DIR@/localhost.pem;
    location / { return 200 "over TLS"; }
    location /echo { ${content(`
      ngx.print(assert(require("languages")(ngx.var.arg_language).methods:echo("over TLS")))`)} }
  }`,
  files: { "localhost.pem": CERTIFICATE, "languages.lua": all.lua },
  server: `
location = /echo { ${content(`
  local response, message, code = require("languages")(ngx.var.arg_language).methods:echo(ngx.var.arg_text)
  ngx.print(response or code .. ": " .. message)`)} }
location = /config { ${content(`
  -- a secret first, so that a search finds it wherever it is
  local bytes = tonumber(ngx.var.arg_bytes)
  local config = ("${SECRET} "):rep(math.ceil(bytes / ${SECRET.length + 1})):sub(1, bytes)
  local rt = require("languages")(ngx.var.arg_language, config)
  local response, message, code = true
  if ngx.var.arg_reload then response, message, code = rt:reload() end
  if response and ngx.var.arg_crash then rt.methods:crash(0) end
  if response and ngx.var.arg_run then
    ngx.req.read_body()
    response, message, code = rt.methods:run(ngx.req.get_body_data(), { timeout = 20000 })
  elseif response then
    response, message, code = rt.methods:config(nil, { timeout = 60000 })
    if response then response = response == config and "whole" or "not whole: " .. #response end
  end
  ngx.print(response or code .. ": " .. message)`)} }
location = /run { ${content(`
  ngx.req.read_body()
  local rt = require("languages")(ngx.var.arg_language)
  local response, message, code = rt.methods:run(ngx.req.get_body_data(), { timeout = 20000 })
  ngx.print(response or code .. ": " .. message)`)} }
location = /size { ${content(`
  local config = loadstring("return " .. ngx.unescape_uri(ngx.var.arg_config))()
  ngx.print(require("languages")(ngx.var.arg_language, config).methods:size_of_config())`)} }
location = /fetch { ${content(`
  local rt = require("languages")(ngx.var.arg_language)
  local url = "https://127.0.0.1:${port}/"
  local response, message, code = rt.methods:fetch(url, { timeout = 30000 })
  ngx.print(response or code .. ": " .. message)`)} }
location = /slow { ${content(`
  local rt = require("languages")(ngx.var.arg_language)
  local response, message, code = rt.methods:sleep(tonumber(ngx.var.arg_ms))
  ngx.print(response or code .. ": " .. message)`)} }
location = /names { ${content(`
  for _, runtime in ipairs(require("resty.nffi").metrics().runtimes) do ngx.say(runtime.name) end`)} }
location = /processes { ${content(`
  for _, runtime in ipairs(require("resty.nffi").metrics().runtimes) do
    for _, process in ipairs(runtime.processes) do
      ngx.say(process.pid or 0, " ", process.state, " ", runtime.name)
    end
  end`)} }
location = /crash { ${content(`
  local rt = require("languages")(ngx.var.arg_language)
  local response, message, code = rt.methods:crash(0)
  ngx.print(tostring(response), " ", code)`)} }
location = /tgkill { ${content(`
  local ffi = require "ffi"
  pcall(ffi.cdef, "long syscall(long number, ...);")
  local function int(name) return ffi.new("int", tonumber(ngx.var["arg_" .. name])) end
  ngx.print(tonumber(ffi.C.syscall(ffi.new("long", tonumber(ngx.var.arg_number)),
      ffi.new("int", ngx.worker.pid()), int("tid"), int("signal"))))`)} }
location = /children { ${content(`
  local seen = {}
  local function see(...)
      local values = { ... }
      for i = 1, select("#", ...) do values[i] = tostring(values[i]) end
      local text = table.concat(values, ",")
      seen[text] = (seen[text] or 0) + 1
  end
  for i = 1, 50 do
      see("execute", os.execute("exit " .. i % 2))
      see("killed", os.execute("kill -TERM $$"))
      local pipe = io.popen("echo out; exit 3")
      see("popen", (pipe:read("*a"):gsub("\\n", "")))
      -- what close() gives is luck in any nginx: its handler of SIGCHLD waits for all children
      pipe:close()
      -- the shell sees which signals it was started with
      local status = io.popen("grep ^SigBlk: /proc/self/status")
      see("signals", (status:read("*a"):gsub("%s+", " ")))
      status:close()
      local into = io.popen("cat >/dev/null; exit 0", "w")
      see("written", tostring(into:write(("x"):rep(100000))):sub(1, 4))
      into:close()
  end
  local lines = {}
  for text, count in pairs(seen) do lines[#lines + 1] = text .. " " .. count end
  table.sort(lines)
  ngx.print(table.concat(lines, "\\n"))`)} }
`,
});
