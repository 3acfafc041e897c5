/**
 * Checks with the signed Release files that apt has read whether an archive is Debian's, of the
 * suite.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../../errors.js";
import { parseControlFile } from "./control-file.js";
import type { PrivateApt } from "./private-apt.js";

const RELEASE = /_(In)?Release$/;

/** Throws unless all of them say so. apt has checked by whom they are signed. */
export async function requireDebianOrigin({ dir, suite }: PrivateApt): Promise<void> {
  const lists = join(dir, "state", "lists");
  const names = (await readdir(lists)).filter((name) => RELEASE.test(name));
  const codenames = ["", "-updates", "-security"].map((ending) => `${suite}${ending}`);
  for (const name of names) {
    const paragraphs = parseControlFile(await readFile(join(lists, name), "utf8"));
    const release = paragraphs.find((one) => one.has("origin") || one.has("codename"));
    const origin = release?.get("origin");
    const codename = release?.get("codename") ?? "";
    if (origin === "Debian" && codenames.includes(codename)) continue;
    const where = name.replace(RELEASE, "").replaceAll("_", "/");
    throw new NffiError("verify-failed", `${where} is not the ${suite} of Debian`, {
      hint: `its Release file says: Origin ${origin ?? "none"}, Codename ${codename || "none"}`,
    });
  }
}
