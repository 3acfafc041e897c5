// examples/c-postgres against a real server, as a library and as a process; the process is compiled
// with AddressSanitizer, whose reports are looked for at the end.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { repository } from "../../support/cli.js";
import { codeBlocks } from "../../support/code-blocks.js";
import { failureLua, withPackagePath } from "../../support/failure-lua.js";
import { type Nginx, startNginx, until } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { Postgres } from "./postgres.js";

const EXAMPLE = join(repository, "examples/c-postgres");
const SANITIZED = "-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined";

let prefix: string;
let built: string;
let postgres: Postgres;

beforeAll(async () => {
  prefix = await builtOpenresty();
  built = mkdtempSync(join(tmpdir(), "nffi-c-postgres-"));
  chmodSync(built, 0o755); // the worker may be another user
  const env = { ...process.env, PKG_CONFIG_PATH: join(prefix, "nffi/lib/pkgconfig") };
  const make = (out: string, ...args: string[]) => {
    mkdirSync(out, { recursive: true });
    execFileSync("make", ["-C", EXAMPLE, `OUT=${out}`, ...args], { env, stdio: "pipe" });
  };
  make(built, "CFLAGS=-O2 -g -Werror");
  make(join(built, "asan"), `CFLAGS=${SANITIZED}`);
  postgres = new Postgres();
  await postgres.start();
});

afterAll(async () => {
  await postgres?.remove();
  rmSync(built, { recursive: true, force: true });
});

/** The configuration of the README, hosted one way or the other, and locations of the tests. */
function configuration(how: string): { http: string; server: string } {
  const blocks = codeBlocks(join(EXAMPLE, "README.md"), "nginx");
  const [http = "", locations = ""] = blocks.map((code) =>
    code
      .replace("/path/to/examples/c-postgres/libc_postgres.so", join(built, "libc_postgres.so"))
      .replace("host=/run/postgresql dbname=app", postgres.conninfo)
      .replace(
        "load(lib, {",
        how === "library"
          ? "load(lib, {"
          : `load("process", { program = "${join(built, "asan/c-postgres")}", env = ENV,`,
      )
      .replace("function db()", "function db(connections, waiting)")
      .replace("connections = 4", "connections = connections or 4, waiting = waiting"),
  );
  return {
    http: withPackagePath(http).replace(
      "function db",
      `ENV = { ASAN_OPTIONS = "log_path=${join(built, "report")}" }\n    function db`,
    ),
    server: `lua_check_client_abort on; client_body_buffer_size 1m; ${locations}
      location = /query { content_by_lua_block {
        local cjson = require "cjson"
        ngx.req.read_body()
        local rt = db(tonumber(ngx.var.arg_connections), tonumber(ngx.var.arg_waiting))
        local timeout = tonumber(ngx.var.arg_timeout)
        local response, err, code, detail = rt.methods:query(
            cjson.decode(ngx.req.get_body_data()), { timeout = timeout })
        ngx.print(cjson.encode(response or { err, code, detail or false }))
      } }
      location = /unanswered { content_by_lua_block { ngx.print(db():state().unanswered) } }
      # reads one chunk, and the others only when it is told to
      location = /slow { content_by_lua_block {
        local stream = db().streams:listen({ channel = "flood" })
        stream:read()
        while not package.loaded.go_on do ngx.sleep(0.02) end
        local count = 0
        for _ in stream do count = count + 1 end
        local err, _, detail = stream:error()
        ngx.print(count, " ", err, " ", detail)
      } }
      location = /go_on { content_by_lua_block { package.loaded.go_on = true } }`,
  };
}

describe.each(["library", "process"])("as a %s", (how) => {
  let nginx: Nginx;

  beforeAll(async () => {
    nginx = await startNginx({ prefix, files: failureLua, ...configuration(how) });
    await query("create table if not exists users (id serial, name text)");
    await query("truncate users restart identity");
  });

  afterAll(async () => {
    if (!nginx) return;
    await nginx.stop();
    const reports = readdirSync(built).filter((name) => name.startsWith("report."));
    expect(reports.map((name) => readFileSync(join(built, name), "utf8"))).toEqual([]);
  });

  async function query(sql: string, params?: unknown[], more = "") {
    const body = JSON.stringify({ sql, ...(params && { params }) });
    return JSON.parse((await nginx.request(`/query?${more}`, { body })).body);
  }

  test("rows are JSON, and parameters are", async () => {
    const { rows } = await query(
      `select $1::int as i, $2 as t, $3::bool as b, $4::text as n, $5::jsonb as j, 1.5::float8 as f,
              9007199254740993 as big, 1.10::numeric as d, 'NaN'::float8 as nan`,
      [7, "it's", true, null, { a: [1, "x"] }],
    );
    expect(rows).toEqual([
      {
        ...{ i: 7, t: "it's", b: true, n: null, j: { a: [1, "x"] }, f: 1.5 },
        ...{ big: "9007199254740993", d: "1.10", nan: "NaN" },
      },
    ]);
  });

  test("the location of the README answers", async () => {
    expect(await query("insert into users (name) values ($1), ($2)", ["Ada", "Bob"])).toEqual({
      rows: expect.anything(),
      affected: 2,
    });
    expect(await nginx.get("/users")).toBe("1 Ada\n2 Bob\n");
    expect(await nginx.get("/users?name=B%25")).toBe("2 Bob\n");
  });

  test.each([
    ["select 1/0", undefined, ["division by zero", "runtime_error", "22012"]],
    [
      "select $1::int",
      ["x"],
      [expect.stringContaining("invalid input"), expect.anything(), "22P02"],
    ],
    [
      "select $1 from nowhere",
      [1],
      [expect.stringContaining("nowhere"), expect.anything(), "42P01"],
    ],
    [
      "select 1; select 2",
      undefined,
      [expect.stringContaining("multiple"), expect.anything(), "42601"],
    ],
    ["copy users to stdout", undefined, ["COPY is not for a query", expect.anything(), "0A000"]],
    ["begin", undefined, [expect.stringContaining("BEGIN"), expect.anything(), "25001"]],
  ])("%s is an error with its SQLSTATE", async (sql, params, error) => {
    expect(await query(sql, params)).toEqual(error);
    expect((await query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  });

  test.each([
    ['{"sqll":"select 1"}', "Object item not found: sql"],
    ['{"sql":1}', "Expected string, got integer"],
    ['{"sql":"select 1","params":{"a":1}}', "params must be a list"],
    ['{"sql":"select 1","params":1}', "params must be a list"],
  ])("a wrong request is an error: %s", async (body, reason) => {
    const told = await nginx.request("/query", { body });
    expect(JSON.parse(told.body)).toEqual([reason, "runtime_error", false]);
  });

  test.each(["{}", "[]", "null"])("no parameters may be written as %s", async (params) => {
    const told = await nginx.request("/query", {
      body: `{"sql":"select 1 as one","params":${params}}`,
    });
    expect(JSON.parse(told.body).rows).toEqual([{ one: 1 }]);
  });

  test("200 queries at once get their own answers over two connections", async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => query("select $1::int as i", [i], "connections=2")),
    );
    expect(answers.map(({ rows }) => rows[0].i)).toEqual([...Array(200).keys()]);
  });

  test("a statement is prepared once for a connection, and again when its table has changed", async () => {
    const alone = (sql: string, params?: unknown[]) => query(sql, params, "connections=1");
    await alone("create table if not exists changing (a int)");
    const sql = "select * from changing where $1::int = 1";
    for (let i = 0; i < 3; i++) await alone(sql, [i]);
    const prepared = await alone(
      "select count(*) from pg_prepared_statements where statement = $1",
      [sql],
    );
    expect(prepared.rows).toEqual([{ count: 1 }]);
    await alone("alter table changing add column b int");
    expect((await alone(sql, [1]))[2]).toBe("0A000");
    expect(await alone(sql, [1])).toEqual({ rows: expect.anything(), affected: 0 });
    await alone("drop table changing");
  });

  const sleeping = async () =>
    (
      await query(
        "select count(*) from pg_stat_activity where state = 'active' and query = 'select pg_sleep(60)'",
      )
    ).rows[0].count;

  const sleeps = (count: number) =>
    until(
      async () => (await sleeping()) === count,
      10_000,
      () => "pg_sleep still runs, or does not yet",
    );

  test("a query whose time is over is cancelled in the server", async () => {
    const [message, code] = await query("select pg_sleep(60)", undefined, "timeout=200");
    expect([message, code]).toEqual([
      expect.stringContaining("has not responded within"),
      "timeout",
    ]);
    await sleeps(0);
  });

  test("so is one whose client goes, and one that waits for a connection is not begun", async () => {
    const gone = new AbortController();
    const body = JSON.stringify({ sql: "select pg_sleep(60)" });
    const path = "/query?connections=1";
    const calls = [1, 2].map(() => nginx.request(path, { body, signal: gone.signal }));
    for (const call of calls) call.catch(() => {});
    await sleeps(1);
    gone.abort();
    await sleeps(0);
    // the connection takes the next one, which no late cancellation meets
    expect((await query("select 1 as one", undefined, "connections=1")).rows).toEqual([{ one: 1 }]);
    expect(await sleeping()).toBe(0);
  });

  test("more queries than may wait are refused immediately", async () => {
    const path = "connections=1&waiting=1";
    await query("select 1", undefined, path); // it has its connection
    const gone = new AbortController();
    const body = JSON.stringify({ sql: "select pg_sleep(60)" });
    const busy = [1, 2].map(() => nginx.request(`/query?${path}`, { body, signal: gone.signal }));
    for (const call of busy) call.catch(() => {});
    await sleeps(1);
    await until(
      async () => (await query("select 1", undefined, `${path}&timeout=300`))[2] === "53300",
      10_000,
      () => "none is refused",
    );
    gone.abort();
    await sleeps(0);
  });

  /** Events of a channel, as they come. */
  async function* events(channel: string, signal: AbortSignal) {
    const response = await fetch(`${nginx.url}/events?channel=${channel}`, { signal });
    let text = "";
    for await (const part of response.body ?? []) {
      text += Buffer.from(part).toString();
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      yield* blocks;
    }
  }

  const unanswered = (count: number) =>
    until(
      async () => (await nginx.get("/unanswered")) === String(count),
      10_000,
      () => nginx.errorLog(),
    );

  test("notifications are chunks of a stream, which ends with its client", async () => {
    const gone = new AbortController();
    const channel = 'a "strange" name';
    const [one, two] = [1, 2].map(() => events(encodeURIComponent(channel), gone.signal));
    const data = async (of?: typeof one) =>
      JSON.parse(`${(await of?.next())?.value}`.replace("data: ", ""));
    for (const listener of [one, two]) expect(await data(listener)).toEqual({ channel });
    for (const payload of ["x", "it's ü"])
      await query("select pg_notify($1, $2)", [channel, payload]);
    for (const listener of [one, two]) {
      expect(await data(listener)).toEqual({ channel, payload: "x", pid: expect.any(Number) });
      expect(await data(listener)).toMatchObject({ payload: "it's ü" });
    }
    gone.abort();
    await unanswered(0);
  });

  test("who does not read loses its stream, and the others hear all", async () => {
    const gone = new AbortController();
    const quick = events("flood", gone.signal);
    await quick.next();
    const slow = nginx.get("/slow");
    slow.catch(() => {});
    await unanswered(2);
    for (let round = 0; round < 6; round++) {
      await query("select pg_notify('flood', $1 || i) from generate_series(1, 500) i", ["x"]);
      for (let i = 1; i <= 500; i++) expect((await quick.next()).value).toContain(`"x${i}"`);
    }
    await unanswered(1);
    await nginx.get("/go_on");
    expect(await slow).toMatch(/^\d+ the reader is slower than the notifications 54000$/);
    gone.abort();
    await unanswered(0);
  });

  test("a killed server fails what is under way; when it is back, all works again", async () => {
    const listening = events("news", new AbortController().signal);
    await listening.next();
    const running = query("select pg_sleep(60)");
    await sleeps(1);
    await postgres.kill();
    expect((await running)[2]).toMatch(/^(57P0[123]|08006)$/);
    await expect(listening.next()).rejects.toThrow();
    const without = await query("select 1");
    expect(without).toEqual([
      expect.stringMatching(/^no connection to the server: /),
      "runtime_error",
      "08001",
    ]);
    const users = await nginx.request("/users");
    expect([users.status, users.body]).toEqual([503, expect.not.stringContaining("connection")]);
    await nginx.waitForLog(/no connection to the server: .*\(runtime_error\): 08001.*"GET \/users/);
    await postgres.start();
    await until(
      async () => (await query("select 1 as one")).rows?.[0].one === 1,
      20_000,
      () => nginx.errorLog(),
    );
    const again = events("news", AbortSignal.timeout(60_000));
    expect((await again.next()).value).toContain("news");
    await again.return(undefined);
  });

  test("quit waits for the queries under way", async () => {
    const own = await startNginx({ prefix, files: failureLua, ...configuration(how) });
    const body = JSON.stringify({ sql: "select pg_sleep(1)" });
    const call = own.request("/query", { body });
    await until(
      async () => (await own.get("/unanswered")) === "1",
      10_000,
      () => own.errorLog(),
    );
    own.signal("SIGQUIT");
    expect(JSON.parse((await call).body)).toMatchObject({ affected: 1 });
    await own.stop();
  });
});

test("gcc's analyser finds nothing in it", () => {
  const env = { ...process.env, PKG_CONFIG_PATH: join(prefix, "nffi/lib/pkgconfig") };
  execFileSync("make", ["-C", EXAMPLE, "lint"], { env, stdio: "pipe" });
});

test("a wrong configuration is an error", async () => {
  const { http, server } = configuration("library");
  const wrong = http.replace(
    /config = \{[^}]*\}/,
    "config = require('cjson').decode(ngx.req.get_uri_args().config)",
  );
  const nginx = await startNginx({ prefix, files: failureLua, http: wrong, server });
  try {
    const told = async (config: unknown) => {
      await nginx.request(`/query?config=${encodeURIComponent(JSON.stringify(config))}`, {
        body: "{}",
      });
      return nginx.errorLog();
    };
    expect(await told({})).toContain("configuration: Object item not found: conninfo");
    expect(await told({ conninfo: "prot=1" })).toContain(
      'configuration: conninfo: invalid connection option "prot"',
    );
    expect(await told({ conninfo: "", connections: 65 })).toContain("is a number from 1 to 64");
  } finally {
    await nginx.stop();
  }
});
