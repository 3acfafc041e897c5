/**
 * The only import of undici: requests that follow redirects, use the given proxies and trust the
 * given certificates. The secret parts of a URL are removed before it is shown.
 */
import type { Readable } from "node:stream";
import type { EnvHttpProxyAgent } from "undici";
import { NffiError } from "../errors.js";

/** How the network is reached. Empty strings stand for no proxy. */
export interface Network {
  readonly httpProxy: string;
  readonly httpsProxy: string;
  readonly noProxy: string;
  /** Certificates (PEM) to trust in place of Node's own. */
  readonly ca: readonly string[] | undefined;
}

export const DIRECT: Network = { httpProxy: "", httpsProxy: "", noProxy: "", ca: undefined };

export interface Reply {
  readonly status: number;
  readonly body: Readable;
  header(name: string): string | undefined;
  /** The body is discarded. */
  drop(): void;
}

export interface HttpClient {
  /** Returns any response that is not a redirect. */
  get(url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Reply>;
  close(): Promise<void>;
}

/** Loaded with the first request: it takes 0.1 s, and most commands need no network. */
const loadUndici = () => import("undici");

const CONNECT_MS = 15_000;
const MAX_REDIRECTS = 5;

/** The timeouts of replies are the caller's, by `signal`. */
export function openClient(network: Network): HttpClient {
  const agents = new Map<string, EnvHttpProxyAgent>();
  const agentFor = async (url: URL) => {
    const { EnvHttpProxyAgent } = await loadUndici();
    const agent =
      agents.get(url.protocol) ?? new EnvHttpProxyAgent(agentOptions(network, url.protocol));
    agents.set(url.protocol, agent);
    return agent;
  };
  return {
    get: (url, headers, signal) => follow(new URL(url), headers, signal, agentFor),
    close: async () => {
      for (const agent of agents.values()) await agent.destroy();
    },
  };
}

/** One for each protocol: undici would also use http_proxy for https, which no other tool does. */
function agentOptions(network: Network, protocol: string) {
  const tls = { timeout: CONNECT_MS, ...(network.ca && { ca: [...network.ca] }) };
  return {
    httpProxy: protocol === "http:" ? network.httpProxy : "",
    httpsProxy: protocol === "https:" ? network.httpsProxy : "",
    noProxy: network.noProxy,
    // Many proxies refuse CONNECT to other ports than 443.
    proxyTunnel: false,
    connect: tls,
    requestTls: tls,
    proxyTls: tls,
    headersTimeout: 0,
    bodyTimeout: 0,
  };
}

/** Follows redirects, never from https to plain http; another host does not get the password. */
async function follow(
  start: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
  agentFor: (url: URL) => Promise<EnvHttpProxyAgent>,
): Promise<Reply> {
  const { request } = await loadUndici();
  let url = start;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const reply = await request(bare(url), {
      dispatcher: await agentFor(url),
      signal,
      headers: { ...headers, ...authorization(url) },
    });
    const location = reply.headers.location;
    if (reply.statusCode < 300 || reply.statusCode >= 400 || typeof location !== "string") {
      const header = (name: string) => [reply.headers[name]].flat()[0];
      const drop = () => void reply.body.on("error", () => {}).destroy();
      return { status: reply.statusCode, body: reply.body, header, drop };
    }
    await reply.body.dump();
    url = redirected(url, location);
  }
  throw new NffiError("fetch-failed", `too many redirects from ${withoutSecrets(start.href)}`);
}

function redirected(from: URL, location: string): URL {
  const shown = withoutSecrets(from.href);
  if (!URL.canParse(location, from.href)) {
    throw new NffiError("fetch-failed", `${shown} redirects to something that is not a URL`);
  }
  const next = new URL(location, from);
  if (next.protocol !== "https:" && (next.protocol !== "http:" || from.protocol === "https:")) {
    throw new NffiError(
      "fetch-failed",
      `${shown} redirects to the insecure ${withoutSecrets(next.href)}`,
    );
  }
  if (next.origin === from.origin && next.username === "") {
    next.username = from.username;
    next.password = from.password;
  }
  return next;
}

function bare(url: URL): URL {
  const copy = new URL(url);
  copy.username = "";
  copy.password = "";
  copy.hash = "";
  return copy;
}

function authorization(url: URL): Record<string, string> {
  if (url.username === "" && url.password === "") return {};
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
}

/**
 * The status and text that a server of this machine answers with; no proxy is asked. With
 * `socketPath` it is reached by that unix socket, whatever the host of the URL.
 */
export async function getLocal(
  url: string,
  options: { timeoutMs: number; signal?: AbortSignal; socketPath?: string },
): Promise<{ status: number; text: string }> {
  const { timeoutMs, socketPath } = options;
  const { Agent, request } = await loadUndici();
  const agent = new Agent({
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    ...(socketPath !== undefined && { connect: { socketPath } }),
  });
  try {
    const reply = await request(url, { dispatcher: agent, signal: options.signal ?? null });
    return { status: reply.statusCode, text: await reply.body.text() };
  } finally {
    await agent.destroy();
  }
}

/** A URL as it may be shown: without user, password, query and fragment. */
export function withoutSecrets(url: string): string {
  const parsed = bare(new URL(url));
  parsed.search = "";
  return parsed.href;
}
