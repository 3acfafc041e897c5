/** The reason of a failed download, in words, and whether a retry may succeed. */
import { errnoOf, messageOf, NffiError } from "../errors.js";
import { type Reply, withoutSecrets } from "./http.js";
import { type Failure, retryAfterMs } from "./retry.js";

/** Undefined for a reply that carries the file or the rest of it. */
export function failureOfReply(reply: Reply, url: string): Failure | undefined {
  const { status } = reply;
  if (status === 200 || status === 206) return undefined;
  if (status === 407) return { error: proxyRefused(url), passing: false };
  const error = new NffiError(
    "fetch-failed",
    `${withoutSecrets(url)} answered with HTTP status ${status}`,
    { hint: HINTS[status] },
  );
  // 416: the partial file does not match the remote file, so the next try requests all of it.
  const passing = [408, 416, 425, 429].includes(status) || (status >= 500 && status !== 501);
  return { error, passing, waitMs: retryAfterMs(reply.header("retry-after")) };
}

const HINTS: Readonly<Record<number, string>> = {
  401: "this server requires a user and a password: https://USER:PASSWORD@HOST/...",
  403: "the server refuses; check user, password and rights",
  404: "check the version or the URL",
  429: "the server has too many requests from here; try again later, or name another --mirror",
};

/** The server broke off, or what it sent is of no use. */
export function truncated(url: string, what: string): Failure {
  const error = new NffiError("fetch-failed", `${withoutSecrets(url)} ${what}`, {
    hint: "run the command again, or choose another --mirror",
  });
  return { error, passing: true };
}

/** Of the network, the disk or the proxy. */
export function failureOfThrown(thrown: unknown, wanted: { url: string; file: string }): Failure {
  if (thrown instanceof NffiError) return { error: thrown, passing: false };
  const reason = deepest(thrown);
  const errno = errnoOf(reason) ?? "";
  if (DISK.has(errno)) {
    const message = `cannot write ${wanted.file}: ${messageOf(reason)}`;
    return { error: new NffiError("fetch-failed", message, { cause: thrown }), passing: false };
  }
  const text = messageOf(reason);
  if (/\(407\)/.test(text)) return { error: proxyRefused(wanted.url), passing: false };
  const error = new NffiError(
    "fetch-failed",
    `cannot download ${withoutSecrets(wanted.url)}: ${text}`,
    { hint: isOfCertificate(errno) ? CERTIFICATE_HINT : NETWORK_HINT, cause: thrown },
  );
  return { error, passing: !LASTING.has(errno) && !isOfCertificate(errno) };
}

const NETWORK_HINT = "check the network (http_proxy, https_proxy and no_proxy are honoured)";
const CERTIFICATE_HINT =
  "if the certificate is your organisation's own, name its authority with --cafile FILE " +
  "or NODE_EXTRA_CA_CERTS";

const DISK = new Set(["ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "EIO", "ENOENT", "EMFILE"]);
const LASTING = new Set(["ENOTFOUND", "ECONNREFUSED", "UND_ERR_INVALID_ARG", "ERR_INVALID_URL"]);

function isOfCertificate(errno: string): boolean {
  return /CERT|SIGNATURE|ERR_TLS|ERR_SSL|UNABLE_TO/.test(errno);
}

function proxyRefused(url: string): NffiError {
  return new NffiError(
    "fetch-failed",
    `cannot download ${withoutSecrets(url)}: the proxy requires a user and a password (status 407)`,
    { hint: "set http_proxy and https_proxy to http://USER:PASSWORD@HOST:PORT" },
  );
}

/** undici hides the reason ("ECONNREFUSED") in the cause or in an AggregateError. */
function deepest(thrown: unknown): unknown {
  if (thrown instanceof AggregateError && thrown.errors.length > 0)
    return deepest(thrown.errors[0]);
  if (thrown instanceof Error && thrown.cause) return deepest(thrown.cause);
  return thrown;
}
