/**
 * The only door to undici. A download is hashed while it streams, and the file appears under its
 * name only when every byte has arrived and is on the disk.
 */
import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Agent, EnvHttpProxyAgent, request } from "undici";
import { messageOf, NffiError } from "../errors.js";
import { replaceWhenWritten } from "./files.js";

export interface Download {
  readonly url: string;
  readonly file: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((received: number, total: number | undefined) => void) | undefined;
}

export interface Downloaded {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

const STALL_MS = 30_000;
const MAX_REDIRECTS = 5;

export async function download(wanted: Download): Promise<Downloaded> {
  const agent = new EnvHttpProxyAgent({
    connect: { timeout: STALL_MS },
    headersTimeout: STALL_MS,
    bodyTimeout: STALL_MS,
  });
  try {
    return await replaceWhenWritten(wanted.file, (temp) => receive(wanted, temp, agent));
  } catch (thrown) {
    wanted.signal?.throwIfAborted();
    if (thrown instanceof NffiError) throw thrown;
    throw new NffiError(
      "fetch-failed",
      `cannot download ${withoutSecrets(wanted.url)}: ${reasonOf(thrown)}`,
      { hint: "check the network (http_proxy and https_proxy are honoured)", cause: thrown },
    );
  } finally {
    await agent.destroy();
  }
}

/** The status and text that a server of this machine answers with; no proxy is asked. */
export async function getLocal(
  url: string,
  options: { timeoutMs: number; signal?: AbortSignal },
): Promise<{ status: number; text: string }> {
  const agent = new Agent({ headersTimeout: options.timeoutMs, bodyTimeout: options.timeoutMs });
  try {
    const reply = await request(url, { dispatcher: agent, signal: options.signal ?? null });
    return { status: reply.statusCode, text: await reply.body.text() };
  } finally {
    await agent.destroy();
  }
}

/** A URL as it may be shown: without user, password and query. */
export function withoutSecrets(url: string): string {
  const parsed = new URL(url);
  parsed.username = "";
  parsed.password = "";
  parsed.search = "";
  return parsed.href;
}

async function receive(wanted: Download, temp: string, agent: EnvHttpProxyAgent) {
  const { body, length } = await open(wanted, agent);
  const hash = createHash("sha256");
  let bytes = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      wanted.onProgress?.(bytes, length);
      done(null, chunk);
    },
  });
  await pipeline(body, meter, createWriteStream(temp), { signal: wanted.signal });
  if (length !== undefined && bytes !== length) {
    throw new NffiError(
      "fetch-failed",
      `${withoutSecrets(wanted.url)} ended after ${bytes} of ${length} bytes`,
      { hint: "run the command again" },
    );
  }
  return { file: wanted.file, sha256: hash.digest("hex"), bytes };
}

/** Sends the request and follows redirects, never from https to plain http. */
async function open(wanted: Download, agent: EnvHttpProxyAgent) {
  let url = wanted.url;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const reply = await request(url, { dispatcher: agent, signal: wanted.signal ?? null });
    const location = reply.headers.location;
    if (reply.statusCode >= 300 && reply.statusCode < 400 && typeof location === "string") {
      await reply.body.dump();
      const next = new URL(location, url);
      if (url.startsWith("https:") && next.protocol !== "https:") {
        throw new NffiError(
          "fetch-failed",
          `${withoutSecrets(url)} redirects to the insecure ${withoutSecrets(next.href)}`,
        );
      }
      url = next.href;
      continue;
    }
    if (reply.statusCode !== 200) {
      await reply.body.dump();
      throw new NffiError(
        "fetch-failed",
        `${withoutSecrets(url)} answered with HTTP status ${reply.statusCode}`,
        { hint: reply.statusCode === 404 ? "check the version or the URL" : undefined },
      );
    }
    const declared = Number(reply.headers["content-length"]);
    return { body: reply.body, length: Number.isSafeInteger(declared) ? declared : undefined };
  }
  throw new NffiError("fetch-failed", `${withoutSecrets(wanted.url)} redirects too often`);
}

/** undici hides the reason ("ECONNREFUSED") in the cause or in an AggregateError. */
function reasonOf(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) {
    return messageOf(thrown.errors[0]);
  }
  if (thrown instanceof Error && thrown.cause) return messageOf(thrown.cause);
  return messageOf(thrown);
}
