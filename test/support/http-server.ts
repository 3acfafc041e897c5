// A server on the loopback interface that misbehaves as a test requires.
import { createServer, type RequestListener } from "node:http";
import { onTestFinished } from "vitest";

/** Starts it for one test; returns its URL without a final slash. */
export async function httpServer(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}

export const answers = {
  whole:
    (body: Buffer): RequestListener =>
    (_request, response) => {
      response.writeHead(200, { "content-length": body.length }).end(body);
    },
  status:
    (code: number): RequestListener =>
    (_request, response) => {
      response.writeHead(code).end("no");
    },
  /** Promises all bytes, sends half of them and closes the connection. */
  truncated:
    (body: Buffer): RequestListener =>
    (_request, response) => {
      response.writeHead(200, { "content-length": body.length });
      response.write(body.subarray(0, body.length / 2), () => response.socket?.end());
    },
  reset: (): RequestListener => (request) => {
    request.socket.resetAndDestroy();
  },
};
