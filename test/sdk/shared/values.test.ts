// Values through JSON, one table for all languages and both ways of hosting: what Lua sends arrives
// exactly and comes back exactly, what JSON cannot hold is an error that names its path, and
// nothing ends the worker. lua-cjson is hidden from this nginx.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Nginx, startNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import {
  buildFixtureRuntimes,
  type FixtureRuntimes,
  SDK_RUNTIMES as RUNTIMES,
  ALL_RUNTIMES as WITH_C,
} from "./fixture-runtimes.js";

const content = (code: string) => `content_by_lua_block { ${code} }`;

/** Lua: the values that arrive and come back. TABLE[i] = { name, value }. */
const LUA = String.raw`
local nffi = require "resty.nffi"
local canonical = require("resty.nffi.json_encode").canonical
local _M = {}
local loads = LOADS
function _M.load(name, config) return assert(loads[name](config)) end
local function deep(levels) local v = 1 for _ = 1, levels do v = { v } end return v end
local function many(count, make) local v = {} for i = 1, count do v[i] = make(i) end return v end
local ffi = require "ffi"
local bits = ffi.new("union { double number; uint64_t bits; }")
-- Park and Miller's generator: the same numbers in every run
local seed = 20261130
local function random() seed = seed * 48271 % 2147483647 return seed end
local function double()
  repeat
    bits.bits = bit.bxor(bit.lshift(0ULL + random(), 33), bit.lshift(0ULL + random(), 11), 0ULL + random())
  until bits.number - bits.number == 0
  return bits.number
end
_M.values = {
  { "microseconds", 1732900000123456 }, { "15 digits", 100000000000000 }, { "2^53", 2^53 },
  { "-2^53", -2^53 }, { "2^53 - 1", 2^53 - 1 }, { "2^62", 2^62 }, { "-2^63", -2^63 }, { "1e21", 1e21 },
  { "sum", 0.1 + 0.2 }, { "third", 1 / 3 }, { "smallest", 4.9406564584124654e-324 },
  { "largest", 1.7976931348623157e308 }, { "17 digits", 5e-324 * 3 }, { "zero", 0 }, { "money", 12.34 },
  { "text", "é \0 \" \\ / \127 \n 👍" }, { "empty text", "" }, { "empty object", { a = {} } },
  { "empty list", { a = setmetatable({}, nffi.empty_array_mt) } }, { "null", { nffi.null } },
  { "holes", { 1, nffi.null, 3 } }, { "100 levels", deep(100) }, { "false", false },
  { "long list", many(100000, function(i) return i end) },
  { "random doubles", many(3000, double) },
  { "random integers", many(3000, function() return random() * 2^22 + random() % 2^22 end) },
  { "16 MB", ("0123456789abcdef"):rep(2^20) }, { "escapes", ("\"\n"):rep(200000) },
}
function _M.differs(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a ~= b end
  if (getmetatable(a) == nffi.empty_array_mt) ~= (getmetatable(b) == nffi.empty_array_mt) then return true end
  for k, v in pairs(a) do if _M.differs(v, b[k]) then return true end end
  for k in pairs(b) do if a[k] == nil then return true end end
  return false
end
function _M.show(...)
  local t = { ... }
  for i = 1, select("#", ...) do
    local is_value = type(t[i]) == "table" or type(t[i]) == "number"
    t[i] = is_value and canonical(t[i]) or tostring(t[i])
  end
  return table.concat(t, "|")
end
return _M
`;

/** `values`, `rt` and `show` are at hand. */
const location = (path: string, code: string) =>
  `location = ${path} { ${content(`
  local nffi, values = require "resty.nffi", require "values"
  local show = values.show
  local rt = values.load(ngx.var.arg_language or "c")
  ${code}`)} }`;

const SERVER = [
  location("/hidden", `ngx.print(show(pcall(require, "cjson")))`),
  location(
    "/same",
    `local wrong = {}
     local same = ngx.var.arg_language:find("^c%f[%W]") and "echo" or "same"
     for _, row in ipairs(values.values) do
       local value, message = rt.methods[same](rt.methods, row[2], { timeout = 60000 })
       if values.differs(row[2], value) then wrong[#wrong + 1] = row[1] .. ": " .. tostring(message or value):sub(1, 200) end
     end
     ngx.print(#values.values, " values, wrong: ", table.concat(wrong, "; "))`,
  ),
  location(
    "/kind",
    `local value = loadstring("return " .. ngx.unescape_uri(ngx.var.arg_value))()
     ngx.print(show(rt.methods[ngx.var.arg_method or "kind"](rt.methods, value)))`,
  ),
  location("/lose", `ngx.print(show(rt.methods:lose(ngx.var.arg_name)))`),
  location(
    "/cut",
    `local value, message = rt.methods:cut()
     ngx.print(value and value.title .. value.id or message)`,
  ),
  location(
    "/deep",
    `local value, message, code = rt.methods:deep(tonumber(ngx.var.arg_levels))
     local levels = 0
     while type(value) == "table" do value, levels = value[1], levels + 1 end
     ngx.print(value and levels or code)`,
  ),
  location(
    "/send",
    `local made = loadstring("local nffi = ...; return " .. ngx.unescape_uri(ngx.var.arg_value))(nffi)
     local value, message, code = rt.methods:echo(made, { timeout = 60000 })
     ngx.print(show((type(value) == "string" or type(value) == "table") and #value or value, message, code))`,
  ),
  location(
    "/utf8",
    `local encode, wrong = require("resty.nffi.json_encode").encode, {}
     local valid = { "\\194\\128", "\\223\\191", "\\224\\160\\128", "\\237\\159\\191", "\\238\\128\\128", "\\239\\191\\191",
       "\\240\\144\\128\\128", "\\244\\143\\191\\191", "\\127" }
     local invalid = { "\\128", "\\191", "\\192\\128", "\\193\\191", "\\194", "\\194a", "\\224\\159\\191", "\\237\\160\\128", "\\237\\191\\191",
       "\\226\\130", "\\226\\130a", "\\240\\143\\191\\191", "\\240\\144\\128", "\\244\\144\\128\\128", "\\245\\128\\128\\128", "\\255" }
     for before = 0, 17 do
       for behind = 0, 9, 9 do
         local a, b = ("a"):rep(before), ("b"):rep(behind)
         for _, bytes in ipairs(valid) do
           if encode(a .. bytes .. b) ~= '"' .. a .. bytes .. b .. '"' then wrong[#wrong + 1] = "refused " .. bytes end
         end
         for _, bytes in ipairs(invalid) do
           local text, err = encode(a .. bytes .. b)
           if text or err ~= "value is not UTF-8 (at byte " .. before + 1 .. ")" then wrong[#wrong + 1] = "took " .. bytes:byte() end
         end
         for code = 0, 127 do
           local text = encode(a .. string.char(code) .. b)
           local stays = code >= 32 and code ~= 34 and code ~= 92
           if #text - before - behind - 2 ~= (stays and 1 or text:find("\\\\u") and 6 or 2) then wrong[#wrong + 1] = "escape of " .. code end
         end
       end
     end
     ngx.print(table.concat(wrong, "; "))`,
  ),
  location(
    "/decode",
    `ngx.req.read_body()
     local value, message = require("resty.nffi.json_decode").decode(ngx.req.get_body_data() or "")
     ngx.print(show(value, message))`,
  ),
  location(
    "/tenants",
    `local seen, addresses = {}, {}
     local runtimes = require "resty.nffi.runtimes"
     local function key(rt) addresses[#addresses + 1] = runtimes.address(rt._pointer) return rt end
     for _, id in ipairs({ 1732900000123456, 1732900000123457, 0.1, 0.1 + 2^-55, 9007199254740993LL, 9007199254740995LL }) do
       local rt = key(values.load(ngx.var.arg_language, { tenant = id, list = { 1, 2 } }))
       local config = rt.methods:config()
       seen[#seen + 1] = string.format("%.17g", type(config) == "table" and config.tenant or 0)
     end
     -- the same in another order, and with 1.0 for 1
     local again = {}
     again.list, again.tenant = { 1.0, 2 }, 1732900000123456
     seen[#seen + 1] = runtimes.address(values.load(ngx.var.arg_language, again)._pointer) == addresses[1]
     local distinct = {}
     for _, address in ipairs(addresses) do distinct[address] = true end
     local count = 0
     for _ in pairs(distinct) do count = count + 1 end
     ngx.print(count, " ", show(unpack(seen)))`,
  ),
  location(
    "/deep-config",
    `local made = 1
     for _ = 1, 900 do made = { made } end
     local loaded, rt = pcall(values.load, ngx.var.arg_language, { deep = made })
     if not loaded then return ngx.print("refused") end
     local config, message, code = rt.methods:config(nil, { timeout = 20000 })
     local value, levels = type(config) == "table" and config.deep, 0
     while type(value) == "table" do value, levels = value[1], levels + 1 end
     ngx.print(value and levels or code or "no table")`,
  ),
  location(
    "/bad-config",
    `local made = loadstring("return " .. ngx.unescape_uri(ngx.var.arg_value))()
     ngx.print(show(pcall(values.load, ngx.var.arg_language, made)))`,
  ),
  location(
    "/memory",
    `local ffi = require "ffi"
     pcall(ffi.cdef, "struct nffi_limit { uint64_t soft, hard; }; int getrlimit(int, struct nffi_limit *); int setrlimit(int, const struct nffi_limit *);")
     local text, RLIMIT_AS = ("a"):rep(2^27), 9
     local limit = ffi.new("struct nffi_limit")
     ffi.C.getrlimit(RLIMIT_AS, limit)
     local soft = limit.soft
     local pages = io.open("/proc/self/statm"):read("*n")
     limit.soft = pages * 4096ULL + 2^27 + 2^24
     ffi.C.setrlimit(RLIMIT_AS, limit)
     local value, message, code = rt.methods:echo(text)
     limit.soft = soft
     ffi.C.setrlimit(RLIMIT_AS, limit)
     ngx.print(show(value, message, code))`,
  ),
].join("\n");

let nginx: Nginx;
let runtimes: FixtureRuntimes;

beforeAll(async () => {
  const prefix = await builtOpenresty();
  runtimes = buildFixtureRuntimes(prefix, "values", "test/sdk/c/fixtures/languages/runtime.c");
  nginx = await startNginx({
    prefix,
    http: `lua_package_path "$prefix?.lua;;"; lua_package_cpath "/nowhere/?.so";`,
    files: { "values.lua": LUA.replace("LOADS", () => runtimes.lua) },
    server: SERVER,
  });
});

afterAll(async () => {
  await nginx?.stop();
  runtimes?.remove();
});

/** The body; the worker that answers is the one that has answered all before. */
async function ask(path: string, query: Record<string, string | number> = {}): Promise<string> {
  return await nginx.get(`${path}?${new URLSearchParams(query as Record<string, string>)}`);
}

test("lua-cjson cannot be loaded here", async () => {
  expect(await ask("/hidden")).toMatch(/^false\|module 'cjson' not found/);
});

test.each(WITH_C)("%s: every value comes back as it was sent", async (language) => {
  expect(await ask("/same", { language })).toMatch(/^28 values, wrong: $/);
});

describe("a number arrives as", () => {
  const whole: Record<string, string> = {
    go: "int64",
    java: "Long",
    python: "int",
    rust: "i64",
    typescript: "number",
  };
  const real: Record<string, string> = {
    go: "number",
    java: "Double",
    python: "float",
    rust: "f64",
    typescript: "number",
  };
  test.each(RUNTIMES)("%s: an integer, a float, and one of 64 bits", async (name) => {
    const language = name.replace("-process", "");
    const kind = (value: string) => ask("/kind", { language: name, value });
    expect(await kind("1732900000123456")).toBe(`${whole[language]} 1732900000123456`);
    expect(await kind("100000000000000")).toBe(`${whole[language]} 100000000000000`);
    expect(await kind("-2^53")).toBe(`${whole[language]} -9007199254740992`);
    expect(await kind("7.0")).toBe(`${whole[language]} 7`);
    expect(await kind("0.1 + 0.2")).toBe(`${real[language]} 0.30000000000000004`);
    // JavaScript has doubles only
    if (language === "typescript") return;
    expect(await kind("9007199254740993LL")).toBe(`${whole[language]} 9007199254740993`);
    expect(await kind("18446744073709551615ULL")).toMatch(/ 18446744073709551615$/);
  });

  test("a field of Go with the type int64", async () => {
    const asked = { language: "go", method: "whole", value: "{ ID = 1732900000123456 }" };
    expect(await ask("/kind", asked)).toBe("1732900000123456");
  });
});

describe("a result that JSON cannot hold is an error with its path", () => {
  const lost: Record<string, string[]> = {
    go: ["nan", "infinity", "function"],
    java: ["nan", "infinity", "bytes", "error", "time", "function"],
    python: ["nan", "infinity", "bytes", "error", "set", "time"],
    rust: ["nan", "infinity"],
    typescript: ["nan", "infinity", "bytes", "error", "set", "time"],
  };
  test.each(RUNTIMES)("%s", async (language) => {
    for (const name of lost[language.replace("-process", "")] as string[]) {
      expect(await ask("/lose", { language, name }), name).toMatch(
        /^nil\|.*result\.items\[1\]\.value.*\|runtime_error/,
      );
    }
  });
});

// Rust's compiler refuses such types
describe("a result of a wrong type is an error that says what to return instead", () => {
  const hints: Record<string, Record<string, string>> = {
    typescript: {
      map: "is an object (Map): use Object.fromEntries()",
      set: "is an object (Set): use Array.from()",
      promise: "is an object (Promise): await it",
      error: "is an object (Error): throw it, or return its message",
      big: "is a BigInt: use Number() or String()",
      bytes: 'is an object (Buffer): use codec = "raw" for bytes',
    },
    python: {
      set: "it has a set: use list()",
      iterator: "it has a list_iterator: use list()",
      coroutine: "it has a coroutine: await it",
      decimal: "it has a Decimal: use float() or str()",
      path: "it has a PosixPath: use str()",
      error: "it has a ValueError: raise it, or return its message",
      bytes: 'it has a bytes: use codec = "raw" for bytes',
    },
    go: {
      channel: "unsupported type: chan int: read it into a slice, or use nffi.JSONStream",
      map: "unsupported type: map[interface {}]int: use map[string]any",
    },
    java: {
      future: "is a java.util.concurrent.CompletableFuture: wait for it with get()",
      optional: "is a java.util.Optional: use orElse(null)",
      stream: ": collect it into a list",
      time: "is a java.time.Instant: use toString()",
      error: "is a java.lang.IllegalStateException: throw it, or return its message",
      bytes: "is a byte[]: use Methods.bytes for bytes",
    },
  };
  test.each(Object.entries(hints))("%s", async (name, table) => {
    const language = name === "typescript" ? "typescript-process" : name;
    for (const [lost, hint] of Object.entries(table)) {
      expect(await ask("/lose", { language, name: lost }), lost).toContain(hint);
    }
    expect(nginx.errorLog()).not.toContain("never awaited");
  });
});

test.each(RUNTIMES.filter((name) => !name.startsWith("rust")))(
  "%s: half of a surrogate pair arrives as U+FFFD",
  async (language) => {
    expect(await ask("/cut", { language })).toBe("thumbs up \ufffd7");
  },
);

test.each(RUNTIMES)("%s: a result with many levels is a value or an error", async (language) => {
  expect(await ask("/deep", { language, levels: 100 })).toBe("100");
  expect(await ask("/deep", { language, levels: 990 })).toMatch(/^(990|runtime_error)$/);
  for (const levels of [1001, 5000]) {
    expect(await ask("/deep", { language, levels })).toMatch(/^(codec|runtime)_error$/);
  }
  expect(await ask("/deep", { language, levels: 100 })).toBe("100");
});

test.each(WITH_C)(
  "%s: configurations that differ in the last digit are two runtimes",
  async (name) => {
    const id = "1732900000123456|1732900000123457|0.10000000000000001|0.10000000000000003";
    const wide = "9007199254740992|9007199254740996";
    const seen = name.startsWith("c") ? "0|0|0|0|0|0" : `${id}|${wide}`;
    expect(await ask("/tenants", { language: name })).toBe(`6 ${seen}|true`);
  },
);

test.each(RUNTIMES)("%s: a configuration with 900 levels arrives or is an error", async (name) => {
  expect(await ask("/deep-config", { language: name })).toMatch(
    /^(900|refused|runtime_error|runtime_down|load_failed)$/,
  );
  expect(await ask("/cut", { language: name })).not.toBe("");
});

describe("a configuration that cannot be sent", () => {
  test.each(["c", "go-process", "java", "python-process", "typescript-process"])(
    "%s",
    async (language) => {
      const bad = (value: string) => ask("/bad-config", { language, value });
      expect(await bad("{ a = { b = function() end } }")).toMatch(
        /^false\|.*cannot encode config: config\.a\.b is a function/,
      );
      expect(await bad("{ a = 0/0 }")).toMatch(/config\.a is NaN/);
      expect(await bad('{ a = "\\255" }')).toMatch(/config\.a is not UTF-8 \(at byte 1\)/);
      expect(await bad("(function() local t = {} t.a = t return t end)()")).toMatch(
        /config\.a\.a.* is nested deeper than 1000 levels, or contains itself/,
      );
    },
  );
});

// [Lua, what comes back: #value|message|code]
test.each<[string, RegExp | string]>([
  ["nil", "userdata: NULL|nil|nil"],
  ["{ 1, nil, 3 }", "3|nil|nil"],
  [
    "{ [1] = 1, [1000] = 2 }",
    "nil|cannot encode the payload: payload is a sparse list: its last index is 1000, and it has 2 items|codec_error",
  ],
  [
    '{ 1, ["1"] = 2, x = 3 }',
    'nil|cannot encode the payload: payload has the keys 1 and "1"|codec_error',
  ],
  [
    "{ [true] = 1 }",
    "nil|cannot encode the payload: payload has a key that is no string: a boolean|codec_error",
  ],
  [
    "{ items = { 1, { when = 1/0 } } }",
    "nil|cannot encode the payload: payload.items[2].when is infinite, which JSON does not have|codec_error",
  ],
  [
    "{ print }",
    "nil|cannot encode the payload: payload[1] is a function, which JSON does not have|codec_error",
  ],
  [
    "{ require('ffi').new('int[1]') }",
    "nil|cannot encode the payload: payload[1] is a cdata, which JSON does not have|codec_error",
  ],
  ['"ab\\255"', "nil|cannot encode the payload: payload is not UTF-8 (at byte 3)|codec_error"],
  [
    '"\\237\\160\\128"',
    "nil|cannot encode the payload: payload is not UTF-8 (at byte 1)|codec_error",
  ],
  ['"\\0\\0"', "2|nil|nil"],
  ["setmetatable({}, nffi.array_mt)", "0|nil|nil"],
  [
    "setmetatable({ a = 1 }, nffi.array_mt)",
    "nil|cannot encode the payload: payload is marked as a list and has the key a|codec_error",
  ],
  ["setmetatable({ 1, 2 }, { __index = error, __len = error, __pairs = error })", "2|nil|nil"],
  ['("x"):rep(2^26)', "67108864|nil|nil"],
  ["(function() local t = {} for i = 1, 999 do t = { t } end return t end)()", "1|nil|nil"],
])("%s is sent, or refused with its path", async (value, seen) => {
  const got = await ask("/send", { value });
  if (typeof seen === "string") expect(got).toBe(seen);
  else expect(got).toMatch(seen);
});

test("only UTF-8 is sent, wherever a character begins", async () => {
  expect(await ask("/utf8")).toBe("");
});

// [text, value|message]
test.each([
  [String.raw`"\ud83d\ude00\u00e9\u20ac\u0000\/\b\f"`, "😀é€\0/\b\f|nil"],
  [String.raw`"\ud83d"`, "\ufffd|nil"],
  [String.raw`"\ude00\ud83d\ud83d\ude00"`, "\ufffd\ufffd😀|nil"],
  [String.raw`"\ud83d\n"`, "\ufffd\n|nil"],
  [String.raw`["a\\","\"","b"]`, String.raw`["a\\","\"","b"]|nil`],
  [' { "a" : [ 1 , -0.5e1 , true ] } ', '{"a":[1,-5,true]}|nil'],
  ["123456789012345678", "123456789012345680|nil"],
  ["0.1e-7", "1e-08|nil"],
  ["", "nil|invalid JSON: expected a value at byte 1"],
  ["[1,]", "nil|invalid JSON: expected a value at byte 4"],
  ["[1 2]", 'nil|invalid JSON: expected "," or "]" at byte 4'],
  ['{"a" 1}', 'nil|invalid JSON: expected ":" at byte 6'],
  ["{1:2}", "nil|invalid JSON: expected a name at byte 2"],
  ['{"a":1,}', "nil|invalid JSON: expected a name at byte 8"],
  ['"abc', "nil|invalid JSON: unterminated string at byte 1"],
  [String.raw`"abc\"`, "nil|invalid JSON: unterminated string at byte 1"],
  [String.raw`"\x"`, "nil|invalid JSON: invalid escape at byte 2"],
  [String.raw`"\u12"`, String.raw`nil|invalid JSON: invalid \u escape at byte 4`],
  ["01", "nil|invalid JSON: invalid number at byte 1"],
  ["1.", "nil|invalid JSON: invalid number at byte 3"],
  ["+1", "nil|invalid JSON: expected a value at byte 1"],
  ["NaN", "nil|invalid JSON: expected a value at byte 1"],
  ["0x10", "nil|invalid JSON: unexpected text after the value at byte 2"],
  ["1e999", "nil|invalid JSON: number out of range at byte 1"],
  ["nul", "nil|invalid JSON: expected a value at byte 1"],
])("the response %j is decoded, or refused with the place", async (body, seen) => {
  expect((await nginx.request("/decode", { body })).body).toBe(seen);
});

test("nesting without an end and memory without room are errors of the call", async () => {
  const [worker] = nginx.workers();
  for (const levels of [1000, 100_000]) {
    const value = `(function() local t = {} for i = 1, ${levels} do t = { t } end return t end)()`;
    expect(await ask("/send", { value })).toMatch(/nested deeper than 1000 levels.*\|codec_error$/);
  }
  expect(await ask("/memory")).toMatch(
    /^nil\|cannot encode the payload: not enough memory.*\|codec_error$/,
  );
  expect(nginx.workers()).toEqual([worker]);
  expect(nginx.errorLog()).not.toMatch(/exited (on signal|with code [^0])/);
});

describe.each(["python", "python-process"])("dataclasses of %s", (language) => {
  const call = (method: string, value: string) =>
    ask("/kind", { language, method, value: `(${value})` });

  test("are made at any depth, and sent", async () => {
    const order = `{ first = { sku = "a" }, lines = { { sku = "b", count = 2 } }, note = "n",
      by_name = { x = { sku = "c" } }, related = { { first = { sku = "d" }, gift = { sku = "e" } } } }`;
    const line = (sku: string, count = 1) => ({ count, sku });
    const empty = { by_name: {}, gift: null, lines: [], note: null, related: null };
    expect(JSON.parse(await call("order", order))).toEqual({
      ...empty,
      first: line("a"),
      lines: [line("b", 2)],
      note: "n",
      by_name: { x: line("c") },
      related: [{ ...empty, first: line("d"), gift: line("e") }],
    });
    expect(await call("lines", '{ { sku = "a" } }')).toBe('[{"count":2,"sku":"a"}]');
    expect(await call("lines", "{}")).toBe("[]");
    expect(await call("maybe", '{ sku = "a" }')).toBe('{"count":2,"sku":"a"}');
    expect(await call("maybe", "nil")).toBe("userdata: NULL");
  });

  test("name the part that does not fit", async () => {
    const bad = await call("order", '{ first = { sku = "a" }, lines = { { sku = "b", at = 1 } } }');
    expect(bad).toMatch(/request\.lines\[0\] is no Line: got an unexpected keyword argument 'at'/);
    expect(await call("order", "{ first = 5 }")).toMatch(/request\.first must be an object, Line/);
  });
});
