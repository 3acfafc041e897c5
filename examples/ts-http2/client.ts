// An HTTP/2 client: all calls of a worker are streams of one session. Lua's sockets lack HTTP/2.
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from "node:http2";
import type { Context, Handler, RawStreamHandler } from "@nffi/runtime";

export interface Config {
  /** Such as `https://api.example.com`. */
  readonly origin: string;
  /** Certificates to trust, in PEM; by default those of Node. */
  readonly ca?: string;
}

export interface Response {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

let shared: ClientHttp2Session | undefined;

/** The session that lives, or a new one: a server may close it whenever it likes. */
function session({ origin, ca }: Config): ClientHttp2Session {
  if (shared && !shared.closed && !shared.destroyed) return shared;
  const fresh = connect(origin, ca === undefined ? {} : { ca });
  const forget = () => {
    if (shared === fresh) shared = undefined;
  };
  // The streams report the error; here it only means that this session has ended.
  for (const event of ["error", "goaway", "close"]) fresh.on(event, forget);
  shared = fresh;
  return fresh;
}

interface HttpResponse {
  readonly stream: ClientHttp2Stream;
  readonly headers: IncomingHttpHeaders;
}

/**
 * Tries once more on a new session if an old one turns out to be closed; GET may be sent twice.
 * `signal` aborts when the call in nginx is cancelled: the server then gets RST_STREAM.
 */
async function ask(path: string, { config, signal }: Context<Config>): Promise<HttpResponse> {
  const reused = shared;
  try {
    return await askOnce(path, config, signal);
  } catch (error) {
    if (signal.aborted || reused === undefined || reused === shared) throw error;
    return await askOnce(path, config, signal);
  }
}

function askOnce(path: string, config: Config, signal: AbortSignal): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const used = session(config);
    const stream = used.request({ ":path": path }, { signal });
    stream.once("response", (headers) => {
      stream.off("error", failed);
      resolve({ stream, headers });
    });
    stream.once("error", failed);
    function failed(error: Error): void {
      if (shared === used && !signal.aborted) shared = undefined;
      reject(error);
    }
  });
}

/** One request, whole. */
export const get: Handler<{ path: string }, Response, Config> = async ({ path }, context) => {
  const { stream, headers } = await ask(path, context);
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  const own = Object.entries(headers).filter(([name]) => !name.startsWith(":"));
  return {
    status: Number(headers[":status"]),
    headers: Object.fromEntries(own.map(([name, value]) => [name, String(value)])),
    body: Buffer.concat(parts).toString(),
  };
};

/** The body of a path as it comes; HTTP/2 slows the server when Lua's client reads slowly. */
const download: RawStreamHandler<Config> = async function* (request, context) {
  const { stream, headers } = await ask(request.toString(), context);
  if (headers[":status"] !== 200) throw new Error(`the server answered ${headers[":status"]}`);
  yield* stream;
};

export default download;
