// A proxy on the loopback interface that requires a user and a password, and an https server
// behind.
import { createServer, type IncomingMessage, type RequestListener, request } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { onTestFinished } from "vitest";
import type { Certificates } from "./certificates.js";

export interface Proxy {
  /** With user and password. */
  readonly url: string;
  readonly urlWithoutPassword: string;
  /** The requests that it has forwarded: "GET http://..." or "CONNECT host:port". */
  readonly passed: string[];
}

const USER = "builder";
export const PROXY_PASSWORD = "pa:ss%word";

export async function authenticatingProxy(): Promise<Proxy> {
  const passed: string[] = [];
  const expected = `Basic ${Buffer.from(`${USER}:${PROXY_PASSWORD}`).toString("base64")}`;
  const mayPass = (message: IncomingMessage) => {
    if (message.headers["proxy-authorization"] !== expected) return false;
    passed.push(`${message.method} ${message.url}`);
    return true;
  };
  const server = createServer((incoming, response) => {
    if (!mayPass(incoming)) return response.writeHead(407).end();
    const onward = request(incoming.url ?? "", { headers: incoming.headers }, (upstream) => {
      response.writeHead(upstream.statusCode ?? 502, upstream.headers);
      upstream.pipe(response);
    });
    return onward.end();
  });
  server.on("connect", (message, client) => {
    client.on("error", () => {});
    if (!mayPass(message)) return client.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    const [host = "", port = ""] = (message.url ?? "").split(":");
    const target = connect(Number(port), host, () => {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      target.pipe(client).pipe(target);
    });
    target.on("error", () => client.destroy());
    return undefined;
  });
  const port = await listen(server);
  const password = encodeURIComponent(PROXY_PASSWORD);
  return {
    url: `http://${USER}:${password}@127.0.0.1:${port}`,
    urlWithoutPassword: `http://127.0.0.1:${port}`,
    passed,
  };
}

/** Returns its URL without a final slash. */
export async function httpsServer(
  { key, cert }: Certificates,
  answer: RequestListener,
): Promise<string> {
  const port = await listen(createTlsServer({ key, cert }, answer));
  return `https://127.0.0.1:${port}`;
}

async function listen(server: ReturnType<typeof createServer>): Promise<number> {
  const sockets = new Set<{ destroy(): void; once(event: "close", done: () => void): void }>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}
