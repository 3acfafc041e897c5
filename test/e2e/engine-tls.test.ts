// Calls from the phases of a TLS handshake, and TLS in nginx while a runtime is at work.
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freePort } from "../../src/io/port.js";
import { withNginx } from "../support/nginx.js";
import { builtOpenresty, suites } from "../support/openresty.js";

// self-signed for localhost, valid for a hundred years, used by tests only
const CERTIFICATE = readFileSync(new URL("../fixtures/localhost.pem", import.meta.url), "utf8");

function getOverTls(port: number): Promise<string> {
  return new Promise((done, failed) => {
    request({ host: "127.0.0.1", port, rejectUnauthorized: false }, (reply) => {
      let body = "";
      reply.on("data", (part) => {
        body += part;
      });
      reply.on("end", () => done(body));
    })
      .on("error", failed)
      .end();
  });
}

test.each(suites)("ssl_certificate_by_lua yields while a runtime answers, %s", async (suite) => {
  const prefix = await builtOpenresty(suite);
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
          in_handshake = rt.methods:sleep("50")
      }
      location / { content_by_lua_block { ngx.print("after ", in_handshake) } }
    }`,
  };
  await withNginx(options, async (nginx) => {
    const replies = await Promise.all(Array.from({ length: 20 }, () => getOverTls(port)));
    expect(replies).toEqual(Array.from({ length: 20 }, () => "after 50"));
    expect(nginx.errorLog()).not.toMatch(/exited on signal/);
  });
});
