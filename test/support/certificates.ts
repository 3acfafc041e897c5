// A certificate authority of one test and a certificate for 127.0.0.1 that it has signed.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificates {
  /** The file that a client must trust. */
  readonly caFile: string;
  readonly key: string;
  readonly cert: string;
}

export function makeCertificates(folder: string): Certificates {
  const at = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "pipe" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  openssl(
    "req",
    "-x509",
    ...newKey,
    "-subj",
    "/CN=test authority",
    "-keyout",
    at("ca.key"),
    "-out",
    at("ca.pem"),
  );
  const request = newKey.slice(0, -2);
  openssl(
    "req",
    ...request,
    "-subj",
    "/CN=127.0.0.1",
    "-keyout",
    at("tls.key"),
    "-out",
    at("tls.csr"),
  );
  writeFileSync(at("tls.ext"), "subjectAltName=IP:127.0.0.1\n");
  const signed = ["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-days", "2"];
  openssl(
    "x509",
    "-req",
    "-in",
    at("tls.csr"),
    ...signed,
    "-extfile",
    at("tls.ext"),
    "-out",
    at("tls.pem"),
  );
  return {
    caFile: at("ca.pem"),
    key: readFileSync(at("tls.key"), "utf8"),
    cert: readFileSync(at("tls.pem"), "utf8"),
  };
}
