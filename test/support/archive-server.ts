// A server of one file that can break off and be asked for the rest, and one whose answers follow
// a script. Both keep what they were asked.
import type { IncomingHttpHeaders, RequestListener } from "node:http";
import { httpServer } from "./http-server.js";

export interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export interface ScriptedServer {
  readonly url: string;
  readonly seen: SeenRequest[];
}

/** The first request gets the first response and so on; the last response is repeated. */
export async function scriptedServer(...script: RequestListener[]): Promise<ScriptedServer> {
  const seen: SeenRequest[] = [];
  const url = await httpServer((request, response) => {
    const answer = script[Math.min(seen.length, script.length - 1)];
    seen.push({ path: request.url ?? "", headers: request.headers });
    answer?.(request, response);
  });
  return { url, seen };
}

export interface RangedFile {
  readonly etag?: string;
  readonly lastModified?: string;
  /** Breaks off after this number of bytes of the body. */
  readonly cutAfter?: number;
  /** Sends this number of bytes and nothing more, but keeps the connection. */
  readonly stallAfter?: number;
}

/** Ranges and If-Range as RFC 9110 has them, for one open range. */
export function ranged(body: Buffer, file: RangedFile = {}): RequestListener {
  return (request, response) => {
    const validator = request.headers["if-range"];
    const same = validator === undefined || [file.etag, file.lastModified].includes(`${validator}`);
    const asked = same ? /^bytes=(\d+)-$/.exec(request.headers.range ?? "") : null;
    const start = Number(asked?.[1] ?? 0);
    if (start >= body.length && start > 0) return response.writeHead(416).end();
    const part = body.subarray(start);
    response.writeHead(asked ? 206 : 200, {
      "content-length": part.length,
      ...(asked && { "content-range": `bytes ${start}-${body.length - 1}/${body.length}` }),
      ...(file.etag && { etag: file.etag }),
      ...(file.lastModified && { "last-modified": file.lastModified }),
    });
    const { cutAfter, stallAfter } = file;
    if (cutAfter !== undefined) {
      // Data in flight may be lost when a connection ends; a moment later it has arrived.
      response.write(part.subarray(0, cutAfter));
      return setTimeout(() => response.socket?.end(), 600);
    }
    if (stallAfter !== undefined) return response.write(part.subarray(0, stallAfter));
    return response.end(part);
  };
}
