/** Paths that are written into files of other programs without quotes. */
import { NffiError } from "../errors.js";

const STRANGE = /[^\p{L}\p{N}/._+@~,=-]/u;

export function isPlainPath(path: string): boolean {
  return !STRANGE.test(path);
}

/** nginx's configure and make quote nothing, so such a path fails late and without a hint. */
export function requirePlainPath(what: string, path: string): void {
  if (path === "/") {
    throw new NffiError("usage", `the ${what} is /, the root of the file system`, {
      hint: "choose a directory of its own, such as /opt/nffi",
    });
  }
  const strange = STRANGE.exec(path);
  if (!strange) return;
  throw new NffiError("usage", `the ${what} "${path}" holds "${strange[0]}"`, {
    hint: "nginx, its configure and Lua cannot use this character: choose another path",
  });
}
