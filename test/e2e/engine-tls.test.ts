// Calls from the phases of a TLS handshake, and TLS in nginx while a runtime is at work.
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { connect } from "node:tls";
import { expect, test } from "vitest";
import { freePort } from "../../src/io/port.js";
import { withNginx } from "../support/nginx.js";
import { builtOpenresty, suites } from "../support/openresty.js";
import { sourceOfUnpatched } from "../support/unpatched-openresty.js";

// self-signed for localhost, valid for a hundred years, used by tests only
const CERTIFICATE = readFileSync(new URL("../fixtures/localhost.pem", import.meta.url), "utf8");

interface Manifest {
  readonly source?: {
    readonly parts: readonly { component: string; patches: readonly string[] }[];
  };
  readonly nginx?: { readonly openresty?: boolean };
}

function manifestOf(prefix: string): Manifest {
  return JSON.parse(readFileSync(join(prefix, "nffi/nffi.json"), "utf8"));
}

/**
 * Whether this nginx waits in ssl_certificate_by_lua. Debian's packages and OpenResty have the
 * patch for it; Debian's archive may lack Debian's patches at times, and then the upstream source
 * is built as it is.
 */
function waitsForCertificate(prefix: string): boolean {
  const parts = manifestOf(prefix).source?.parts;
  const nginx = parts?.find(({ component }) => component === "nginx");
  if (nginx) return nginx.patches.includes("nginx-ssl_cert_cb_yield.patch");
  return sourceOfUnpatched(prefix, "src/event/ngx_event_openssl.c")?.includes(WAITS) ?? true;
}

/** The patch has this name, and nginx does not. */
const WAITS = "SSL_ERROR_WANT_X509_LOOKUP";

/** Whether it waits in ssl_client_hello_by_lua: only OpenResty does. */
function waitsForClientHello(prefix: string): boolean {
  return manifestOf(prefix).nginx?.openresty === true;
}

const CANNOT_WAIT =
  ": this nginx lacks OpenResty's patch with which its TLS handshake can wait there";

const ELSEWHERE = "; call it in access_by_lua* or content_by_lua*, or from ngx.timer.at()";

function refusal(phase: string, reason: string): string {
  return (
    `the runtime "libnffi_echo.so" cannot be called here: API disabled in the context of ` +
    `${phase}_by_lua*${reason}, wrong_phase`
  );
}

function getOverTls(port: number): Promise<string> {
  return new Promise((done, failed) => {
    request({ host: "127.0.0.1", port, rejectUnauthorized: false }, (response) => {
      let body = "";
      response.on("data", (part) => {
        body += part;
      });
      response.on("end", () => done(body));
    })
      .on("error", failed)
      .end();
  });
}

test.each(suites)(
  "ssl_certificate_by_lua yields while a runtime answers, or is refused with the reason, %s",
  async (suite) => {
    const prefix = await builtOpenresty(suite);
    const expected = waitsForCertificate(prefix)
      ? "50, nil, nil"
      : `nil, method "sleep": ${refusal("ssl_certificate", CANNOT_WAIT)}`;
    const port = await freePort();
    const echo = join(prefix, "nffi/lib/libnffi_echo.so");
    const options = {
      prefix,
      files: { "localhost.pem": CERTIFICATE },
      http: `server {
      listen 127.0.0.1:${port} ssl;
      ssl_certificate @DIR@/localhost.pem;
      ssl_certificate_key @DIR@/localhost.pem;
      ssl_certificate_by_lua_block {
          local rt = assert(require("resty.nffi").load("${echo}", { config = "4" }))
          local response, message, code = rt.methods:sleep("50")
          told = tostring(response) .. ", " .. tostring(message) .. ", " .. tostring(code)
      }
      location / { content_by_lua_block { ngx.print(told) } }
    }`,
    };
    await withNginx(options, async (nginx) => {
      const responses = await Promise.all(Array.from({ length: 20 }, () => getOverTls(port)));
      expect(responses).toEqual(Array.from({ length: 20 }, () => expected));
      expect(nginx.errorLog()).not.toMatch(/exited on signal/);
    });
  },
);

interface Handshake {
  readonly session: Buffer | undefined;
  readonly reused: boolean;
}

/** A TLS 1.2 handshake whose session the server finds by its id. Returns that session. */
function handshake(port: number, session?: Buffer): Promise<Handshake> {
  return new Promise((done, failed) => {
    const options = { host: "127.0.0.1", port, rejectUnauthorized: false, servername: "localhost" };
    const socket = connect({ ...options, maxVersion: "TLSv1.2", session }, () => {
      done({ session: socket.getSession(), reused: socket.isSessionReused() });
      socket.end();
    }).on("error", failed);
  });
}

// Debian's nginx has one of OpenResty's patches; OpenSSL has none.
test.each(suites)(
  "ssl_client_hello_by_lua, ssl_session_fetch_by_lua and ssl_session_store_by_lua wait or refuse a call with the reason, and the handshake goes on, %s",
  async (suite) => {
    const prefix = await builtOpenresty(suite);
    const port = await freePort();
    const echo = join(prefix, "nffi/lib/libnffi_echo.so");
    const tell = `
      local rt = assert(require("resty.nffi").load("${echo}", { config = "4" }))
      local response, message, code = rt:call("x")
      told[#told + 1] = ngx.get_phase() .. ": " .. tostring(response) .. ", " .. tostring(message)
          .. ", " .. tostring(code)`;
    const options = {
      prefix,
      files: { "localhost.pem": CERTIFICATE },
      http: `
        init_worker_by_lua_block { told = {} }
        ssl_session_fetch_by_lua_block { ${tell} }
        ssl_session_store_by_lua_block { ${tell} }
        server {
          listen 127.0.0.1:${port} ssl;
          ssl_protocols TLSv1.2;
          ssl_session_tickets off;
          ssl_certificate @DIR@/localhost.pem;
          ssl_certificate_key @DIR@/localhost.pem;
          ssl_client_hello_by_lua_block { ${tell} }
        }`,
      server: `
        location = /told { content_by_lua_block { ngx.print(table.concat(told, "\\n")) } }
        location = /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }`,
    };
    await withNginx(options, async (nginx) => {
      const pid = await nginx.get("/pid");
      const { session } = await handshake(port);
      // the fetch handler returns no session, so a full handshake follows
      expect(await handshake(port, session)).toMatchObject({ reused: false });
      const told = (await nginx.get("/told")).split("\n");
      expect(told).toHaveLength(5);
      expect(new Set(told)).toEqual(
        new Set([
          `ssl_client_hello: ${waitsForClientHello(prefix) ? "x, nil, nil" : `nil, ${refusal("ssl_client_hello", CANNOT_WAIT)}`}`,
          `ssl_session_fetch: nil, ${refusal("ssl_session_fetch", CANNOT_WAIT)}`,
          `ssl_session_store: nil, ${refusal("ssl_session_store", ELSEWHERE)}`,
        ]),
      );
      expect(await nginx.get("/pid")).toBe(pid);
      expect(nginx.errorLog()).not.toMatch(/exited on signal|cannot yield/);
    });
  },
);

test.for(suites)(
  "a client that goes in the handshake leaves nothing behind, %s",
  async (suite, { skip }) => {
    const prefix = await builtOpenresty(suite);
    skip(!waitsForCertificate(prefix), "no handshake of this nginx can wait");
    const port = await freePort();
    const echo = join(prefix, "nffi/lib/libnffi_echo.so");
    const load = `assert(require("resty.nffi").load("${echo}", { config = "4" }))`;
    const options = {
      prefix,
      files: { "localhost.pem": CERTIFICATE },
      http: `server {
      listen 127.0.0.1:${port} ssl;
      ssl_certificate @DIR@/localhost.pem;
      ssl_certificate_key @DIR@/localhost.pem;
      ssl_certificate_by_lua_block { ${load}.methods:sleep("400") }
    }`,
      server: `location = /state { content_by_lua_block {
      local state = ${load}:state() ngx.print(state.awaited, " ", state.unanswered) } }`,
    };
    await withNginx(options, async (nginx) => {
      const sockets = Array.from({ length: 4 }, () =>
        connect({ host: "127.0.0.1", port, rejectUnauthorized: false }).on(
          "error",
          () => undefined,
        ),
      );
      const state = async () => await nginx.get("/state");
      await expect.poll(state, { timeout: 5_000 }).toBe("4 4");
      for (const socket of sockets) socket.destroy();
      await expect.poll(state, { timeout: 10_000 }).toBe("0 0");
      expect(nginx.errorLog()).not.toMatch(/exited on signal/);
    });
  },
);
