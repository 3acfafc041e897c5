/** How this machine reaches the network: the proxies and certificates it is set up with. */
import { readFile } from "node:fs/promises";
import { rootCertificates } from "node:tls";
import { messageOf, NffiError } from "../errors.js";
import type { Network } from "../io/http.js";
import type { Environment } from "./environment.js";

/** `cafile`: certificates to trust in addition to Node's. */
export async function networkOf(env: Environment, cafile: string | undefined): Promise<Network> {
  return {
    httpProxy: proxyIn(env, "http_proxy"),
    httpsProxy: proxyIn(env, "https_proxy"),
    noProxy: (env.no_proxy ?? env.NO_PROXY ?? "").trim(),
    ca: cafile ? await trusted(cafile, env) : undefined,
  };
}

/** Like curl: lower-case names first, and a bare HOST:PORT is a proxy as well. */
function proxyIn(env: Environment, name: string): string {
  const value = (env[name] ?? env[name.toUpperCase()] ?? "").trim();
  if (value === "") return "";
  const url = value.includes("://") ? value : `http://${value}`;
  if (URL.canParse(url) && /^https?:/.test(url)) return url;
  // The value is not shown, since it may hold a password.
  throw new NffiError("usage", `${name} is not the URL of a proxy`, {
    hint: "it has the form http://USER:PASSWORD@HOST:PORT",
  });
}

/** Naming certificates replaces all that Node would trust, so those are named again. */
async function trusted(cafile: string, env: Environment): Promise<string[]> {
  const extra = env.NODE_EXTRA_CA_CERTS;
  // Node warns of an unreadable NODE_EXTRA_CA_CERTS itself and goes on without it.
  const extraText = extra ? await readFile(extra, "utf8").catch(() => "") : "";
  const text = await readFile(cafile, "utf8").catch((thrown) => {
    throw new NffiError("usage", `--cafile ${cafile}: ${messageOf(thrown)}`);
  });
  if (!text.includes("-----BEGIN CERTIFICATE-----")) {
    throw new NffiError("usage", `--cafile ${cafile}: it contains no certificate in PEM format`);
  }
  return [...rootCertificates, ...(extraText ? [extraText] : []), text];
}
