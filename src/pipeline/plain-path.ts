/** Paths that are written into files of other programs without quotes. */
import { NffiError } from "../errors.js";

/** nginx's configure and make quote nothing, so such a path fails late and without a hint. */
export function requirePlainPath(what: string, path: string): void {
  const strange = /[^\p{L}\p{N}/._+@~,=-]/u.exec(path);
  if (!strange) return;
  throw new NffiError("usage", `the ${what} "${path}" holds "${strange[0]}"`, {
    hint: "nginx, its configure and Lua cannot use this character: choose another path",
  });
}
