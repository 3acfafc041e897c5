// Programs of nginx that nffi has not built, with nffi attached: further products for the
// end-to-end tests of the engine, named in NFFI_TEST_SUITES. All of them share the prebuilt glue.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { acquireLock } from "../../src/io/lock.js";
import { repository, runCli } from "./cli.js";
import { debianProduct, folderOf, INPUTS_OF_ATTACH, isDebian } from "./debian-product.js";
import { hashOfInputs } from "./inputs.js";
import { withOpenrestyCore } from "./openresty-core.js";
import { prebuiltFiles } from "./prebuilt.js";
import { unpatchedOpenresty } from "./unpatched-openresty.js";

/**
 * attached: an OpenResty of Debian's sources, without our patches. openresty-core: the same
 * with the fields of nginx's core where OpenResty's has them. The others: Debian's own packages.
 */
const ATTACHED_SUITES = ["attached", "openresty-core", "debian-12", "debian-13"] as const;

export type AttachedSuite = (typeof ATTACHED_SUITES)[number];

export function isAttachedSuite(suite: string): suite is AttachedSuite {
  return ATTACHED_SUITES.some((name) => name === suite);
}

/** The prefix of an nginx with nffi attached by the real `nffi attach`. */
export async function attachedProduct(suite: AttachedSuite): Promise<string> {
  const folder = isDebian(suite) ? folderOf(suite) : join(repository, ".nffi/test/attached");
  mkdirSync(folder, { recursive: true });
  const lock = await acquireLock(folder, { wait: true });
  try {
    if (isDebian(suite)) return await debianProduct(suite);
    const { prefix } =
      suite === "openresty-core"
        ? await unpatchedOpenresty(suite, withOpenrestyCore)
        : await unpatchedOpenresty();
    await attachOnce(prefix);
    return prefix;
  } finally {
    await lock.release();
  }
}

/** Into the prefix of this OpenResty, where the tests look for both. */
async function attachOnce(prefix: string): Promise<void> {
  await prebuiltFiles();
  const key = hashOfInputs(INPUTS_OF_ATTACH, [prefix]);
  const keyFile = join(prefix, "nffi-test-key");
  if (existsSync(keyFile) && readFileSync(keyFile, "utf8") === key) return;
  rmSync(keyFile, { force: true });
  const nginx = join(prefix, "nginx/sbin/nginx");
  const attached = await runCli(["attach", "--nginx", nginx, "--prefix", prefix]);
  if (attached.exitCode !== 0) throw new Error(`nffi attach: ${attached.stderr}`);
  writeFileSync(keyFile, key);
}
