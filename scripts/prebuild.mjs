// `npm run prebuilt`: builds the files that the npm package carries for machines without a
// compiler, for x86-64 and arm64, and prebuilt/manifest.json with their hashes. The same sources
// give the same bytes in any directory. Files whose sources have not changed are kept.
// docs/releasing.md has the rest.
//   --out DIR    where to write (prebuilt)
//   --cache DIR  for the compiler and what it has compiled (~/.cache/nffi-release)
//   --pack       before `npm pack`: if a program is missing, the package contains no such files
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, homedir, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { findJdk, isJdk } from "../dist/host/jdk.js";
import { nodeApiInclude, version } from "../dist/host/package.js";
import { sha256OfFile } from "../dist/io/files.js";
import { acquireLock } from "../dist/io/lock.js";
import { hardeningOf } from "../dist/pipeline/hardening.js";
import { faultsOf } from "./prebuilt/check.mjs";
import { ARCHITECTURES, GLIBC, prebuiltFiles, root } from "./prebuilt/files.mjs";
import { missingForHeaders, NGINX_VERSION, nginxIncludes } from "./prebuilt/nginx-headers.mjs";
import { run } from "./prebuilt/run.mjs";
import { installedZig, missingForZig, ZIG_VERSION } from "./prebuilt/zig.mjs";

const { values } = parseArgs({
  options: { out: { type: "string" }, cache: { type: "string" }, pack: { type: "boolean" } },
});
const out = resolve(values.out ?? join(root, "prebuilt"));
const cacheHome = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
const cache = resolve(values.cache ?? join(cacheHome, "nffi-release"));

mkdirSync(cache, { recursive: true });
const lock = await acquireLock(cache, { wait: true });
try {
  await prebuild();
} catch (thrown) {
  console.error(`nffi: ${thrown.message}`);
  process.exitCode = 1;
} finally {
  await lock.release();
}

async function prebuild() {
  const files = await prebuiltFiles();
  if (await isCurrent(files)) return;
  const jdk = await findJdk(process.env);
  const missing = missingPrograms(jdk);
  if (missing.length > 0) return withoutPrebuilt(missing);
  const made = mkdtempSync(join(tmpdir(), "nffi-prebuilt-"));
  try {
    const done = join(made, "prebuilt");
    for (const arch of Object.keys(ARCHITECTURES)) await build(arch, { files, jdk, made, done });
    await requireFaultless(Object.keys(files), { made, done });
    await writeManifest(files, jdk, done);
    putInPlace(done);
    console.error(`nffi: built ${Object.keys(files).length} files in ${out}`);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

/** Whether every file is there, made of the sources as they are, and unchanged since. */
async function isCurrent(files) {
  const manifest = readManifest();
  const paths = Object.keys(files);
  if (Object.keys(manifest.files).sort().join() !== paths.sort().join()) return false;
  for (const path of paths) {
    const { source, sha256 } = manifest.files[path];
    if (source !== files[path]) return false;
    if ((await sha256OfFile(join(out, path)).catch(() => undefined)) !== sha256) return false;
  }
  return true;
}

function readManifest() {
  try {
    return JSON.parse(readFileSync(join(out, "manifest.json"), "utf8"));
  } catch {
    return { files: {} };
  }
}

function missingPrograms(jdk) {
  return [
    missingForZig(cache),
    missingForHeaders(cache),
    isJdk(jdk) ? undefined : { what: jdk.reason, packages: ["default-jdk-headless"] },
  ].filter((one) => one !== undefined);
}

/** A package for others must have the files; one for own use works where a compiler is. */
function withoutPrebuilt(missing) {
  const problem = `cannot build the prebuilt files: missing ${missing.map(({ what }) => what).join("; ")}`;
  const packages = missing.flatMap((one) => one.packages).join(" ");
  const hint = `  hint: on Debian as root: apt-get install --no-install-recommends make ${packages}`;
  if (!values.pack || process.env.npm_command === "publish") throw new Error(`${problem}\n${hint}`);
  rmSync(out, { recursive: true, force: true });
  console.error(`nffi: ${problem}`);
  console.error("  the package is made without them: its `nffi attach` needs a C compiler");
  console.error(hint);
}

async function build(arch, { files, jdk, made, done }) {
  console.error(`nffi: building the prebuilt files for ${arch}`);
  const buildDir = join(made, arch);
  const wanted = Object.keys(files).filter(
    (path) => folderOf(path) === arch || (arch === "x64" && folderOf(path) === "java"),
  );
  const targets = wanted.map((path) => join(buildDir, nameOf(path)));
  const variables = await variablesOf(arch, buildDir, jdk);
  const args = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  run("make", ["-C", join(root, "c-src"), `-j${availableParallelism()}`, ...targets, ...args], {
    env: environmentOfBuild(arch),
  });
  for (const path of wanted) {
    mkdirSync(dirname(join(done, path)), { recursive: true });
    renameSync(join(buildDir, nameOf(path)), join(done, path));
  }
}

async function variablesOf(arch, buildDir, jdk) {
  const zig = installedZig(cache);
  const { triple } = ARCHITECTURES[arch];
  const hardening = hardeningOf({ flavor: "release" }, {}, arch);
  const names = [
    [root, "/usr/src/nffi"],
    [buildDir, "/usr/src/nffi-build"],
    [nodeApiInclude(), "/usr/src/node-api-headers"],
    [cache, "/usr/src"],
  ].map(([folder, name]) => `-ffile-prefix-map=${folder}=${name}`);
  return {
    BUILD_DIR: buildDir,
    VERSION: version,
    CC: `'${zig}' cc -target ${triple}`,
    AR: `'${zig}' ar`,
    CFLAGS: ["-O2", "-g0", ...hardening.cFlags, ...names].join(" "),
    // debug information in zig's own objects has paths of its cache
    LDFLAGS: [...hardening.ldFlags, "-Wl,--strip-debug", "-Wl,--build-id=sha1"].join(" "),
    NODE_API_INCLUDE: nodeApiInclude(),
    NGINX_INCS: await nginxIncludes(cache, hostCompiler(zig), environmentOfBuild(process.arch)),
    JAVA_HOME: jdk.home,
    JAVA_DEFAULT: "",
    JAR_HOME: "",
  };
}

function hostCompiler(zig) {
  return `${zig} cc -target ${ARCHITECTURES[process.arch].triple}`;
}

/** Nothing else of the user's environment can change a byte. */
function environmentOfBuild(arch) {
  const { PATH, HOME } = process.env;
  const zig = { ZIG_GLOBAL_CACHE_DIR: join(cache, "zig"), ZIG_LOCAL_CACHE_DIR: join(cache, "zig") };
  return { PATH, HOME, LC_ALL: "C", TZ: "UTC", ...zig, ...ARCHITECTURES[arch].env };
}

async function requireFaultless(paths, { made, done }) {
  const faults = [];
  for (const path of paths) {
    const found = await faultsOf(join(done, path), folderOf(path), [root, cache, made]);
    faults.push(...found.map((fault) => `${path} ${fault}`));
  }
  if (faults.length > 0)
    throw new Error(`these prebuilt files may not be released:\n${faults.join("\n")}`);
}

async function writeManifest(files, jdk, done) {
  const entries = Object.keys(files)
    .sort()
    .map(async (path) => {
      const sha256 = await sha256OfFile(join(done, path));
      return [path, { sha256, source: files[path] }];
    });
  const manifest = {
    version,
    glibc: GLIBC,
    tools: { ziglang: ZIG_VERSION, nginx: NGINX_VERSION, jdk: jdk.version },
    files: Object.fromEntries(await Promise.all(entries)),
  };
  writeFileSync(join(done, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** From another file system, perhaps. */
function putInPlace(done) {
  const beside = `${out}.${process.pid}`;
  run("cp", ["-R", "-p", done, beside]);
  rmSync(out, { recursive: true, force: true });
  renameSync(beside, out);
}

function folderOf(path) {
  return path.split("/")[0];
}

function nameOf(path) {
  return path.split("/")[1];
}
