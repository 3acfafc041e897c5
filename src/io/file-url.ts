/** The path that a file:// URL names. */
import { fileURLToPath } from "node:url";
import { messageOf, NffiError } from "../errors.js";

/** `what`: the option that has the URL, for the error. */
export function pathOfFileUrl(url: string, what: string): string {
  try {
    return fileURLToPath(url);
  } catch (thrown) {
    throw new NffiError("usage", `${what} ${url}: ${messageOf(thrown)}`, {
      hint: "pass file:///PATH, or the path itself",
      cause: thrown,
    });
  }
}
