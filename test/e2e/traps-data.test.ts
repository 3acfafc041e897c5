// Traps in what is sent and how: payloads and configurations of every kind, names of methods that
// Lua tables have themselves, HTTP/2, connections that are kept. The list of all traps with their
// tests is test/unit/traps.test.ts.
import { readFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { type ClientHttp2Session, connect } from "node:http2";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../src/io/port.js";
import { content } from "../support/lua.js";
import { nativeRuntime } from "../support/native-runtime.js";
import { type Nginx, startNginx } from "../support/nginx.js";
import { builtOpenresty, isOfBookworm, suites } from "../support/openresty.js";

const CERTIFICATE = readFileSync(new URL("../fixtures/localhost.pem", import.meta.url), "utf8");

/** Names that a Lua table or a JavaScript object has, or ours might have had. */
const NAMES = [
  ...["call", "close", "state", "methods", "load", "_pointer", "_codec", "_timeout"],
  ...["__index", "__newindex", "__call", "__gc", "__tostring", "__metatable", "__mode"],
  ...["constructor", "toString", "hasOwnProperty", "valueOf", "name", "length"],
];

const MODULE = `
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
export const echo = (value) => value;
export const later = async (ms) => { await wait(ms); return "later"; };
export const config = (_, context) => context.config;
${NAMES.map((name, i) => `const own${i} = () => "own ${name}"; export { own${i} as ${name} };`).join("\n")}
export default (bytes) => bytes;
`;

/** 1 MB of every byte, so that no encoding survives by accident. */
const BINARY = Buffer.alloc(1 << 20, Buffer.from(Array.from({ length: 256 }, (_, i) => i)));

function get(session: ClientHttp2Session, path: string): Promise<string> {
  return new Promise((done, failed) => {
    let body = "";
    session
      .request({ ":path": path })
      .on("data", (part) => {
        body += part;
      })
      .on("end", () => done(body))
      .on("error", failed)
      .end();
  });
}

describe.each(suites)("traps in what is sent, %s", (suite) => {
  let nginx: Nginx;
  let tls: number;
  let h2c: number;

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    const echo = join(prefix, "nffi/lib/libnffi_echo.so");
    const witness = nativeRuntime(prefix, "witness");
    [tls, h2c] = [await freePort(), await freePort()];
    const native = `assert(nffi.load("${echo}", { config = "4" }))`;
    const node = `assert(nffi.load("node", { module = "m.mjs" }))`;
    const rt = `local rt = ngx.var.arg_kind == "node" and ${node} or ${native}`;
    const locations = [
      content("= /call", `${rt} ngx.print(rt:call(ngx.var.arg_v))`),
      content(
        "= /slow",
        `${rt} ngx.print(rt == nil or ngx.var.arg_kind == "node" and rt.methods:later(200) or rt.methods:sleep("200"))`,
      ),
      content(
        "= /body",
        `${rt} ngx.req.read_body() ngx.print(rt:call(ngx.req.get_body_data() or ""))`,
      ),
      content("= /hold", `ngx.print(assert(nffi.load("${witness}")).methods:hold(ngx.var.arg_v))`),
      content("= /report", `ngx.print(assert(nffi.load("${witness}")).methods:report())`),
      content("= /release", `ngx.print(assert(nffi.load("${witness}")).methods:release())`),
      content(
        "= /kinds",
        `${rt}
         local function try(...) ngx.say(show(pcall(rt.call, rt, ...))) end
         try("text") try("") try() try(nil) try(42) try(-0.5)
         try({}) try(true) try(print) try(coroutine.create(function() end)) try(ngx.null) try(io.stdout)`,
      ),
      content(
        "= /old_kinds",
        `local old = assert(ngx.load_nonblocking_ffi("${echo}", "4"))
         local function try(...) ngx.say(show(pcall(old.echo, old, ...))) end
         try("text") try("") try() try(42) try({}) try(true) try(print)`,
      ),
      content(
        "= /names",
        `local names, wrong = { ${NAMES.map((name) => `"${name}"`).join(", ")} }, {}
         local module, native, old = ${node}, ${native}, assert(ngx.load_ffi("${echo}", "4"))
         for _, name in ipairs(names) do
             if module.methods[name](module.methods) ~= "own " .. name then wrong[#wrong + 1] = "node " .. name end
             if native.methods[name](native.methods, "x") ~= "x" then wrong[#wrong + 1] = "native " .. name end
             if select(2, old[name](old, "x")) ~= "x" then wrong[#wrong + 1] = "old " .. name end
         end
         ngx.print(table.concat(wrong, ","))`,
      ),
      content(
        "= /configurations",
        `local bytes = "a\\0b\\0"
         local new = assert(nffi.load("${witness}", { config = bytes }))
         local old = assert(ngx.load_nonblocking_ffi("${witness}", bytes .. "c"))
         ngx.say(new.methods:config() == bytes, select(2, old:config()) == bytes .. "c")
         local a = assert(nffi.load("node", { module = "m.mjs", config = { text = "a\\0b", empty = "" } }))
         local config = a.methods:config()
         ngx.say(config.text == "a\\0b", config.empty == "")
         local none = assert(nffi.load("${echo}", { config = "" }))
         ngx.say(none:call("default"))`,
      ),
      content(
        "= /keys",
        `local child = require "resty.nffi.child"
         local function key(config, argv, options)
             return child.key("process", config, argv, options or {}, child.limits(options or {}))
         end
         local distinct, count = {}, 0
         for _, one in ipairs({
             key(nil, { "a" }), key("", { "a" }), key("\\0", { "a" }), key("\\255", { "a" }),
             key("\\254", { "a" }), key('"', { "a" }), key('\\\\"', { "a" }),
             key(nil, { "a", "b" }), key(nil, { 'a","b' }), key(nil, { "a\\255" }),
             key(nil, { "a" }, { env = { A = "1" } }), key(nil, { "a" }, { env = { A = "1\\255" } }),
             key(nil, { "a" }, { limits = { memory = 2 ^ 53 } }),
             key(nil, { "a" }, { limits = { memory = 2 ^ 53 - 1 } }),
             key(nil, { "a" }, { nice = 1 }), key(nil, { "a" }, { processes = 2 }),
             key(nil, { "a" }, { max_queue = 5 }), key(nil, { "a" }, { spin = 0 }),
         }) do
             if not distinct[one] then distinct[one], count = true, count + 1 end
         end
         ngx.say(count)
         ngx.say(key(nil, { "a" }, { env = { A = 1, B = "2" } }) ==
                 key(nil, { "a" }, { nice = 0, env = { B = 2, A = "1" } }))`,
      ),
    ].join("\n");
    const body = "client_max_body_size 100m; client_body_buffer_size 100m;";
    // since 1.25.1 \`http2 on\` also serves a plain port, before that \`listen ... http2\` does
    const old = isOfBookworm(suite);
    const listen = (port: number, more: string) =>
      `listen 127.0.0.1:${port} ${more} ${old ? "http2" : ""}; ${old ? "" : "http2 on;"}`;
    nginx = await startNginx({
      prefix,
      files: { "m.mjs": MODULE, "localhost.pem": CERTIFICATE },
      http: `
        ${body} lua_check_client_abort on; keepalive_requests 100000;
        server {
          ${listen(tls, "ssl")}
          ssl_certificate @DIR@/localhost.pem;
          ssl_certificate_key @DIR@/localhost.pem;
          ${locations}
        }
        server { ${listen(h2c, "")} ${locations} }`,
      server: locations,
    });
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  describe.each(["native", "node"])("to a runtime that is %s", (kind) => {
    test.each([
      ["no bytes", Buffer.alloc(0)],
      ["one NUL", Buffer.alloc(1)],
      ["every byte", BINARY],
      ["NULs only", Buffer.alloc(100_000)],
    ])("a payload and its answer: %s", async (_, body) => {
      const response = await fetch(`${nginx.url}/body?kind=${kind}`, { method: "POST", body });
      expect(response.status).toBe(200);
      expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true);
    });

    test("a payload and its answer: 64 MB of every byte", async () => {
      const body = Buffer.alloc(64 << 20, BINARY);
      const response = await fetch(`${nginx.url}/body?kind=${kind}`, { method: "POST", body });
      expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true);
    });

    test("payloads that are no strings: numbers go, the rest is the caller's mistake", async () => {
      const lines = (await nginx.get(`/kinds?kind=${kind}`)).trim().split("\n");
      expect(lines.slice(0, 6)).toEqual([
        "true|text",
        "true|",
        "true|",
        "true|",
        "true|42",
        "true|-0.5",
      ]);
      const types = ["table", "boolean", "function", "thread", "userdata", "userdata"];
      expect(lines.slice(6)).toEqual(
        types.map((type) =>
          expect.stringMatching(
            new RegExp(`^false.(\\S+ )?payload must be a string, got ${type}\\b`),
          ),
        ),
      );
    });

    test("HTTP/2: many streams of one connection, over TLS and without", async () => {
      for (const origin of [`https://127.0.0.1:${tls}`, `http://127.0.0.1:${h2c}`]) {
        const session = connect(origin, { rejectUnauthorized: false });
        try {
          const slow = get(session, `/slow?kind=${kind}`);
          const names = Array.from({ length: 100 }, (_, i) => `s${i}`);
          const responses = names.map((name) => get(session, `/call?kind=${kind}&v=${name}`));
          expect(await Promise.all(responses)).toEqual(names);
          expect(await slow).toBe(kind === "node" ? "later" : "200");
        } finally {
          session.destroy();
        }
      }
    });

    test("keepalive: 1,000 calls over one connection", async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const ports = new Set<number | undefined>();
      const one = (v: string) =>
        new Promise<string>((done, failed) => {
          const { port } = nginx;
          httpRequest(
            { agent, host: "127.0.0.1", port, path: `/call?kind=${kind}&v=${v}` },
            (response) => {
              ports.add(response.socket.localPort);
              let body = "";
              response.on("data", (part) => {
                body += part;
              });
              response.on("end", () => done(body));
            },
          )
            .on("error", failed)
            .end();
        });
      for (let i = 0; i < 1000; i++) expect(await one(`k${i}`)).toBe(`k${i}`);
      agent.destroy();
      expect(ports.size).toBe(1);
    });
  });

  test("the compatibility functions take the same payloads", async () => {
    const lines = (await nginx.get("/old_kinds")).trim().split("\n");
    expect(lines.slice(0, 4)).toEqual([
      "true|true|text",
      "true|true|",
      "true|true|nil",
      "true|true|42",
    ]);
    for (const line of lines.slice(4))
      expect(line).toMatch(/^false.(\S+ )?payload must be a string, got /);
  });

  test("names of methods collide with nothing in Lua or JavaScript", async () => {
    expect(await nginx.get("/names")).toBe("");
  });

  test("a configuration with NUL bytes arrives whole", async () => {
    expect(await nginx.get("/configurations")).toBe("truetrue\ntruetrue\ndefault\n");
  });

  test("processes with different bytes, numbers or lists have different keys", async () => {
    expect(await nginx.get("/keys")).toBe("18\ntrue\n");
  });

  test("HTTP/2: a stream that is reset ends its call and no other", async () => {
    const session = connect(`https://127.0.0.1:${tls}`, { rejectUnauthorized: false });
    try {
      const kept = get(session, "/hold?v=kept");
      const stream = session.request({ ":path": "/hold?v=reset" });
      stream.on("error", () => undefined).end();
      await expect
        .poll(() => nginx.get("/report"), { timeout: 10_000 })
        .toMatch(/kept.*; notified/);
      await expect
        .poll(() => nginx.get("/report"), { timeout: 10_000 })
        .toMatch(/reset.*; notified/);
      stream.close(8);
      await expect
        .poll(() => nginx.get("/report"), { timeout: 10_000 })
        .toMatch(/notified: reset;/);
      await nginx.get("/release");
      expect(await kept).toBe("kept");
      expect(await get(session, "/call?v=after")).toBe("after");
    } finally {
      session.destroy();
    }
  });

  test("HTTP/2: a connection that goes ends the calls of all its streams", async () => {
    const session = connect(`http://127.0.0.1:${h2c}`);
    for (const name of ["g1", "g2", "g3"]) {
      session
        .request({ ":path": `/hold?v=${name}` })
        .on("error", () => undefined)
        .end();
    }
    const report = () => nginx.get("/report");
    await expect.poll(report, { timeout: 10_000 }).toMatch(/g3.*; notified/);
    session.destroy();
    await expect.poll(report, { timeout: 10_000 }).toMatch(/notified:.* g1.*; asked/);
    await expect.poll(report, { timeout: 10_000 }).toMatch(/notified:.* g3.*; asked/);
    await nginx.get("/release");
    expect(nginx.errorLog()).not.toMatch(/exited on signal/);
  });
});
