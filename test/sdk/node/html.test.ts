// examples/ts-html with the real packages of npm: HTML of strangers, and a PDF, over HTTP.
import { inflateSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { failureLua, packagePath } from "../../support/failure-lua.js";
import { type Nginx, startNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { type Example, exampleInTypeScript } from "./example.js";

let example: Example | undefined;
let nginx: Nginx;

beforeAll(async () => {
  const prefix = await builtOpenresty();
  example = exampleInTypeScript("examples/ts-html");
  const ping = "location = /ping { content_by_lua_block { ngx.print('pong') } }";
  nginx = await startNginx({
    ...{ prefix, files: failureLua, http: packagePath },
    server: `${example.nginx.join("\n")} ${ping}`,
  });
});

afterAll(async () => {
  await nginx?.stop();
  example?.remove();
});

const clean = async (html: string, query = "") =>
  (await nginx.request(`/comment${query}`, { body: html })).body;

const harmful = [
  ["a script", "<script>evil()</script>", ""],
  ["a handler of an event", '<b onclick="evil()">x</b>', "<b>x</b>"],
  ["an image with an error", "<img src=x onerror=evil()>", ""],
  ["SVG", "<svg><animate onbegin=evil()></svg>", ""],
  ["a frame", '<iframe srcdoc="&lt;script&gt;"></iframe>', ""],
  ["a style", '<p style="background:url(javascript:evil())">x</p>', "<p>x</p>"],
  ["a tag that is not closed", "<b><i>x", "<b><i>x</i></b>"],
  ["what only looks like a tag", "1 < 2 & 3", "1 &lt; 2 &amp; 3"],
] as const;

test.each(harmful)("%s is made harmless", async (_what, html, wanted) => {
  expect(await clean(html)).toBe(wanted);
});

test("links stay when they may, with an address that is one", async () => {
  const link = (href: string) => `<a href="${href}" onmouseover="evil()">x</a>`;
  expect(await clean(link("https://example.org/"))).toBe("x");
  expect(await clean(link("https://example.org/"), "?links=1")).toBe(
    '<a href="https://example.org/" rel="nofollow noopener" target="_blank">x</a>',
  );
  expect(await clean(link("java\nscript:evil()"), "?links=1")).not.toContain("script");
});

/** The text of a PDF, line by line: its compressed streams, and in them what is shown. */
function textOf(pdf: Buffer): string[] {
  const lines: string[] = [];
  for (let at = pdf.indexOf("stream\n"); at >= 0; at = pdf.indexOf("stream\n", at + 1)) {
    const end = pdf.indexOf("\nendstream", at);
    if (end < 0 || pdf.toString("latin1", at - 3, at) === "end") continue;
    let content: string;
    try {
      content = inflateSync(pdf.subarray(at + 7, end)).toString("latin1");
    } catch {
      continue; // not compressed: no page
    }
    for (const [, hex = ""] of content.matchAll(/<([0-9A-F]+)> Tj/g)) {
      lines.push(Buffer.from(hex, "hex").toString("latin1"));
    }
  }
  return lines;
}

const invoice = async (items: { what: string; cents: number }[]) => {
  const body = JSON.stringify({ number: "17", customer: "Ada", items });
  const response = await fetch(`${nginx.url}/invoice`, { method: "POST", body });
  return { response, pdf: Buffer.from(await response.arrayBuffer()) };
};

test("an invoice is a PDF with what was asked for in it", async () => {
  const { response, pdf } = await invoice([
    { what: "Tea", cents: 450 },
    { what: "Cake", cents: 525 },
  ]);
  expect(response.headers.get("content-type")).toBe("application/pdf");
  expect(pdf.toString("latin1", 0, 5)).toBe("%PDF-");
  expect(textOf(pdf)).toEqual([
    ...["Invoice 17", "Ada", "Tea", "EUR 4.50", "Cake", "EUR 5.25", "Total", "EUR 9.75"],
  ]);
});

test("invalid input is an error", async () => {
  const wrong = await nginx.request("/invoice", { body: "no JSON" });
  expect([wrong.status, wrong.body]).toEqual([500, expect.not.stringContaining("JSON")]);
  await nginx.waitForLog(/not valid JSON \(runtime_error\).*"POST \/invoice/);
});

test("while long invoices are made, nginx answers others", async () => {
  const items = Array.from({ length: 3000 }, (_, i) => ({ what: `Item ${i}`, cents: i }));
  const order: string[] = [];
  const long = Promise.all(
    [1, 2].map(async () => {
      const { pdf } = await invoice(items);
      order.push("invoice");
      return textOf(pdf);
    }),
  );
  for (let i = 0; i < 20; i++) expect(await nginx.get("/ping")).toBe("pong");
  order.push("20 pings");
  for (const text of await long) expect(text).toHaveLength(2 * 3000 + 4);
  expect(order).toEqual(["20 pings", "invoice", "invoice"]);
});
