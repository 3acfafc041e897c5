import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { networkOf } from "../../../src/host/network.js";
import { download } from "../../../src/io/download.js";
import { withoutSecrets } from "../../../src/io/http.js";
import { scriptedServer } from "../../support/archive-server.js";
import { type Certificates, makeCertificates } from "../../support/certificates.js";
import { answers, httpServer } from "../../support/http-server.js";
import { authenticatingProxy, httpsServer, PROXY_PASSWORD } from "../../support/proxy.js";
import { temporaryFolder } from "../../support/temporary.js";

const body = Buffer.from("the archive");

async function get(url: string, env: Record<string, string> = {}, cafile?: string) {
  const network = await networkOf(env, cafile);
  const file = join(temporaryFolder(), "archive");
  await download({ url, file, network, backoffMs: 5 });
  return readFileSync(file, "utf8");
}

describe("a redirect", () => {
  test("is followed, but not without end", async () => {
    const url = await httpServer((request, response) => {
      if (request.url === "/end") return response.end(body);
      const location = request.url === "/loop" ? "/loop" : "/end";
      return response.writeHead(302, { location }).end();
    });
    expect(await get(`${url}/start`)).toBe("the archive");
    await expect(get(`${url}/loop`)).rejects.toThrow("too many redirects");
  });

  test("takes the password along to the same server only", async () => {
    const other = await scriptedServer(answers.whole(body));
    const first = await scriptedServer(
      (_request, response) => response.writeHead(302, { location: "/second" }).end(),
      (_request, response) => response.writeHead(302, { location: other.url }).end(),
    );
    await get(first.url.replace("//", "//me:s%40cret@"));
    const basic = `Basic ${Buffer.from("me:s@cret").toString("base64")}`;
    expect(first.seen.map(({ headers }) => headers.authorization)).toEqual([basic, basic]);
    expect(other.seen[0]?.headers.authorization).toBeUndefined();
  });

  test("from https to http or to a file is refused", async () => {
    const certificates = makeCertificates(temporaryFolder());
    for (const location of ["http://127.0.0.1:1/x?token=t0ken", "file:///etc/passwd"]) {
      const url = await httpsServer(certificates, (_request, response) =>
        response.writeHead(302, { location }).end(),
      );
      const failure = get(url, {}, certificates.caFile);
      await expect(failure).rejects.toThrow("redirects to the insecure");
      await expect(failure).rejects.not.toThrow("t0ken");
    }
  });
});

describe("a custom authority", () => {
  async function server(): Promise<{ url: string; certificates: Certificates }> {
    const certificates = makeCertificates(temporaryFolder());
    return { url: await httpsServer(certificates, answers.whole(body)), certificates };
  }

  test("is not trusted by itself, and is not tried again", async () => {
    const { url } = await server();
    await expect(get(url)).rejects.toMatchObject({
      code: "fetch-failed",
      hint: expect.stringContaining("--cafile"),
    });
  });

  test("is trusted by --cafile, also through NODE_EXTRA_CA_CERTS beside it", async () => {
    const one = await server();
    const two = await server();
    expect(await get(one.url, {}, one.certificates.caFile)).toBe("the archive");
    const env = { NODE_EXTRA_CA_CERTS: two.certificates.caFile };
    expect(await get(two.url, env, one.certificates.caFile)).toBe("the archive");
  });

  test("must be a certificate", async () => {
    await expect(networkOf({}, "/etc/hostname")).rejects.toThrow("no certificate");
    await expect(networkOf({}, "/no/such/file")).rejects.toThrow("ENOENT");
  });
});

describe("a proxy that requires a password", () => {
  test("passes http on when it gets one", async () => {
    const proxy = await authenticatingProxy();
    const url = await httpServer(answers.whole(body));
    expect(await get(`${url}/a`, { http_proxy: proxy.url })).toBe("the archive");
    expect(proxy.passed).toEqual([`GET ${url}/a`]);
  });

  test("passes https through a tunnel", async () => {
    const proxy = await authenticatingProxy();
    const certificates = makeCertificates(temporaryFolder());
    const url = await httpsServer(certificates, answers.whole(body));
    const env = { HTTPS_PROXY: proxy.url };
    expect(await get(url, env, certificates.caFile)).toBe("the archive");
    expect(proxy.passed).toEqual([`CONNECT ${new URL(url).host}`]);
  });

  test.each(["http", "https"])("refuses %s without one, and we say so", async (scheme) => {
    const proxy = await authenticatingProxy();
    const failure = get(`${scheme}://127.0.0.1:1/a`, {
      [`${scheme}_proxy`]: proxy.urlWithoutPassword,
    });
    await expect(failure).rejects.toMatchObject({
      message: expect.stringContaining("the proxy requires a user and a password"),
      hint: expect.stringContaining("USER:PASSWORD"),
    });
  });

  test("is not asked for what no_proxy names, nor for the other protocol", async () => {
    const proxy = await authenticatingProxy();
    const url = await httpServer(answers.whole(body));
    const env = { http_proxy: proxy.url, no_proxy: "example.org,127.0.0.1" };
    expect(await get(url, env)).toBe("the archive");
    expect(await get(url, { https_proxy: proxy.url })).toBe("the archive");
    expect(proxy.passed).toEqual([]);
  });

  test("does not find its password in a message", async () => {
    const env = { http_proxy: `http://builder:${encodeURIComponent(PROXY_PASSWORD)}@127.0.0.1:1` };
    const thrown = await get("http://127.0.0.1:1/a", env).catch((error) => error);
    expect(thrown.code).toBe("fetch-failed");
    expect(`${thrown.message} ${thrown.hint}`).not.toMatch(/pa:ss|pa%3Ass|word/i);
    await expect(networkOf({ http_proxy: "http://u:s3cret@:::" }, undefined)).rejects.toThrow(
      /^http_proxy is not the URL of a proxy$/,
    );
  });
});

test("shows a URL without user, password, query and fragment", () => {
  expect(withoutSecrets("https://me:secret@example.org/a.tar.gz?token=1#x")).toBe(
    "https://example.org/a.tar.gz",
  );
});
