// The prebuilt files of the npm package: what each is made of, and the hash of its sources.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sha256OfTree } from "../../dist/io/tree-hash.js";

export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
const require = createRequire(import.meta.url);

/** The oldest C library that the files run with: Debian 11's and Ubuntu 20.04's. */
export const GLIBC = "2.31";

/** By Node's name of the processor. */
export const ARCHITECTURES = {
  x64: { triple: `x86_64-linux-gnu.${GLIBC}`, machine: 62, env: {} },
  arm64: {
    triple: `aarch64-linux-gnu.${GLIBC}`,
    machine: 183,
    // An option that zig does not pass on to clang. Without it zig's own functions for atomics are
    // linked, which never use newer instructions, and with them a stack canary that is a constant.
    env: { CCC_OVERRIDE_OPTIONS: "# +-mno-outline-atomics" },
  },
};

const LIBRARY = ["include", "lib"];
const PYTHON = [...LIBRARY, "sdk/python/bridge", "sdk/shared"];
const NODE_API = "node-api-headers";

/** For each processor: directories below c-src, and the npm package with Node-API. */
const BINARIES = {
  "libnffi.so.1": LIBRARY,
  "libnffi.a": LIBRARY,
  "libnffi_echo.so": [...LIBRARY, "echo"],
  "libnffi_testhost.so": [...LIBRARY, "testhost"],
  "nffi-supervisor": [...LIBRARY, "supervisor"],
  "nffi.node": [...LIBRARY, "sdk/node", NODE_API],
  "libnffi_python.so": PYTHON,
  "_nffi.abi3.so": PYTHON,
  "libnffi_java.so": [...LIBRARY, "sdk/java/bridge", "sdk/shared"],
  "libnffi_java_testhost.so": [...LIBRARY, "testhost", "sdk/java/testing"],
  "libnffi_glue.so": [...LIBRARY, "ngx"],
};

const JARS = {
  "nffi.jar": ["sdk/java/nffi"],
  "nffi-testing.jar": ["sdk/java/nffi", "sdk/java/testing"],
};

/**
 * Every file, by its path in prebuilt/: the hash of its sources, of the makefiles and of these
 * scripts.
 */
export async function prebuiltFiles() {
  const hashOf = cachedHashes();
  const common = [
    hashOf("Makefile"),
    hashOf("sdk/java/java.mk"),
    sha256OfTree(join(root, "scripts/prebuilt")),
  ];
  const rules = [...(await Promise.all(common)), contentHash(join(root, "scripts/prebuild.mjs"))];
  const all = [
    ...Object.keys(ARCHITECTURES).flatMap((arch) => entriesOf(arch, BINARIES)),
    ...entriesOf("java", JARS),
  ];
  const files = {};
  for (const [path, from] of all) {
    const hashes = await Promise.all(
      [...from].sort().map(async (one) => `${one} ${await hashOf(one)}`),
    );
    const source = createHash("sha256")
      .update([...rules, ...hashes].join("\n"))
      .digest("hex");
    files[path] = source;
  }
  return files;
}

function entriesOf(folder, table) {
  return Object.entries(table).map(([name, entry]) => [`${folder}/${name}`, entry]);
}

function cachedHashes() {
  const known = new Map();
  return (name) => {
    if (!known.has(name)) known.set(name, sourceHash(name));
    return known.get(name);
  };
}

async function sourceHash(name) {
  if (name === NODE_API) return sha256OfTree(require(NODE_API).include_dir);
  const path = join(root, "c-src", name);
  if (/Makefile$|\.mk$/.test(name)) return contentHash(path);
  return sha256OfTree(path, (below) => /(^|\/)(build|target|test)$/.test(below));
}

function contentHash(path) {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
