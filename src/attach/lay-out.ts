/**
 * Creates the attached product in a staging directory, with the layout of a prefix of `nffi build`,
 * without nginx. For a build, c-src/Makefile installs the same files of the SDKs.
 */
import {
  chmod,
  copyFile,
  cp,
  mkdir,
  readdir,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { NffiError } from "../errors.js";
import { isJdk, type Jdk } from "../host/jdk.js";
import { type ShippedFiles, version } from "../host/package.js";
import { run } from "../io/exec.js";
import { kindOf, replaceWhenWritten, sha256OfFile, writeFileWhole } from "../io/files.js";
import { makePublic } from "../io/public-modes.js";
import { type AttachedManifest, commonManifest, manifestFile } from "../pipeline/manifest.js";
import { stageScripts } from "../pipeline/stage-scripts.js";
import type { Binaries } from "./binaries.js";
import { installPrebuilt } from "./prebuilt.js";
import { NGINX_FILES, type NginxFiles } from "./project-nginx.js";

export interface Staged {
  readonly stagedPrefix: string;
  readonly manifest: AttachedManifest;
}

export interface LayOutRequest {
  readonly prefix: string;
  readonly stagedPrefix: string;
  readonly binaries: Binaries;
  readonly nginx: AttachedManifest["nginx"];
  readonly projectFiles: NginxFiles;
  readonly existing: readonly string[];
  readonly made: readonly string[];
  /** The file of --write-conf. */
  readonly conf?: AttachedManifest["conf"];
}

export async function layOut(request: LayOutRequest, files: ShippedFiles): Promise<Staged> {
  const { prefix, stagedPrefix, binaries, nginx } = request;
  const root = join(stagedPrefix, "nffi");
  await layOutSdks(files, root);
  await installPrebuilt(
    binaries.files,
    root,
    (name) => isJdk(binaries.java) || !OF_JAVA.test(name),
  );
  if (isJdk(binaries.java))
    await layOutJava(binaries.java, join(root, "java"), join(prefix, "nffi"));
  await writeFileWhole(join(root, "lib/pkgconfig/nffi.pc"), pkgConfig(join(prefix, "nffi")));
  await stageScripts(files, stagedPrefix);
  // in a build, lua-resty-core's Makefile installs it
  const base = "lualib/resty/core/nonblocking_ffi.lua";
  await mkdir(dirname(join(stagedPrefix, base)), { recursive: true });
  await copyFile(join(files.lua, "resty/core/nonblocking_ffi.lua"), join(stagedPrefix, base));
  for (const name of NGINX_FILES) {
    await writeFileWhole(join(root, "nginx", name), request.projectFiles[name]);
  }
  const manifest: AttachedManifest = {
    ...(await commonManifest(binaries.java, { prefix, stagedPrefix })),
    kind: "attached",
    nginx,
    glue: binaries.origin,
    existing: request.existing,
    made: request.made,
    ...(request.conf && { conf: request.conf }),
  };
  await writeManifest(stagedPrefix, manifest);
  await makePublic(stagedPrefix);
  return { stagedPrefix, manifest };
}

export async function writeManifest(prefix: string, manifest: AttachedManifest): Promise<void> {
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  // nginx's workers read it, whatever the umask
  await replaceWhenWritten(manifestFile(prefix), async (temp) => {
    await writeFile(temp, text);
    await chmod(temp, 0o644);
  });
}

const OF_JAVA = /\.jar$|java/;

/** The files of each SDK except its binaries: `from` is below c-src, `to` below PREFIX/nffi. */
const SDKS: readonly { from: string; to: string; wanted: (path: string) => boolean }[] = [
  { from: "include", to: "include", wanted: (path) => path.endsWith(".h") },
  { from: "sdk/go", to: "go", wanted: (path) => !path.endsWith("_test.go") },
  { from: "sdk/python/nffi", to: "python/nffi", wanted: (path) => /\.py$|py\.typed$/.test(path) },
  { from: "sdk/rust/src", to: "rust/src", wanted: () => true },
];

const SINGLE_FILES: Readonly<Record<string, string>> = {
  "testhost/nffi_testhost.h": "include/nffi_testhost.h",
  "sdk/python/nffi_process.py": "python/nffi_process.py",
  "sdk/rust/Cargo.toml": "rust/Cargo.toml",
  "sdk/rust/build.rs": "rust/build.rs",
  "sdk/rust/rustfmt.toml": "rust/rustfmt.toml",
};

/** Go's cache tracks only headers in the directory of a package, so each package has a copy. */
const HEADERS_OF_GO = ["go/nffi.h", "go/nffitest/nffi.h"];

async function layOutSdks({ cSource, root: package_ }: ShippedFiles, root: string): Promise<void> {
  for (const { from, to, wanted } of SDKS) {
    const source = join(cSource, from);
    for (const entry of await readdir(source, { recursive: true, withFileTypes: true })) {
      const file = join(entry.parentPath, entry.name);
      if (!entry.isFile() || !wanted(file)) continue;
      await copyTo(file, join(root, to, file.slice(source.length + 1)));
    }
  }
  for (const [from, to] of Object.entries(SINGLE_FILES)) {
    await copyTo(join(cSource, from), join(root, to));
  }
  for (const to of HEADERS_OF_GO) await copyTo(join(cSource, "include/nffi.h"), join(root, to));
  const testhost = join(cSource, "testhost/nffi_testhost.h");
  await copyTo(testhost, join(root, "go/nffitest/nffi_testhost.h"));
  const tool = join(root, "bin/nffi-nginx");
  await copyTo(join(package_, "bin/nffi-nginx"), tool);
  await chmod(tool, 0o755);
}

async function copyTo(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true });
}

function pkgConfig(root: string): string {
  return [
    `prefix=${root}`,
    "includedir=${" + "prefix}/include",
    "libdir=${" + "prefix}/lib",
    "",
    "Name: nffi",
    "Description: the shared queue between OpenResty and a runtime",
    `Version: ${version}`,
    "Cflags: -I${" + "includedir}",
    "Libs: -L${" + "libdir} -lnffi -Wl,-rpath,${" + "libdir}",
    "Libs.private: -pthread",
    "",
  ].join("\n");
}

/** The jars, and a repository of Maven with them, as c-src/sdk/java/java.mk makes it. */
async function layOutJava(jdk: Jdk, java: string, home: string): Promise<void> {
  for (const name of ["nffi", "nffi-testing"]) {
    const jar = join(java, `${name}.jar`);
    if ((await kindOf(jar)) !== "file") continue;
    await addHome(jdk, jar, home);
    const folder = join(java, "maven/local/nffi", name, "0-SNAPSHOT");
    // derived from the content: Maven uses its cached copy until the number changes
    const number = (Number.parseInt((await sha256OfFile(jar)).slice(0, 8), 16) % 1e9) + 1;
    const build = `20000101.000000-${number}`;
    const head =
      `<groupId>local.nffi</groupId><artifactId>${name}</artifactId>` +
      "<version>0-SNAPSHOT</version>";
    const model = "<modelVersion>4.0.0</modelVersion>";
    await mkdir(folder, { recursive: true });
    await symlink(`../../../../../${basename(jar)}`, join(folder, `${name}-0-${build}.jar`));
    await writeFileWhole(
      join(folder, `${name}-0-${build}.pom`),
      `<project>${model}${head}</project>\n`,
    );
    await writeFileWhole(join(folder, "maven-metadata.xml"), `${metadata(head, number, build)}\n`);
  }
}

/** As c-src/sdk/java/java.mk has it: 2000-01-01, in seconds. */
const JAR_EPOCH = 946_684_800;

/** A copy of the jar, such as Maven's, finds the libraries by this entry. */
async function addHome({ home: javaHome }: Jdk, jar: string, home: string): Promise<void> {
  const scratch = `${jar}.home`;
  const file = join(scratch, "nffi/home");
  await writeFileWhole(file, home);
  // of every file in a jar: attaching again to the same prefix makes the same bytes
  await utimes(file, JAR_EPOCH, JAR_EPOCH);
  const args = ["--update", "--file", jar, "-C", scratch, "nffi/home"];
  const done = await run({ program: join(javaHome, "bin/jar"), args, env: { TZ: "UTC" } });
  await rm(scratch, { recursive: true });
  if (done.exitCode === 0) return;
  throw new NffiError("install-failed", `${javaHome}/bin/jar cannot update ${basename(jar)}`, {
    hint: done.stderr.trim() || "set JAVA_HOME to another JDK, or to an empty directory for none",
  });
}

function metadata(head: string, number: number, build: string): string {
  const files = ["jar", "pom"].map((extension) => snapshot(extension, build));
  return (
    `<metadata modelVersion="1.1.0">${head}<versioning><snapshot>` +
    `<timestamp>20000101.000000</timestamp><buildNumber>${number}</buildNumber></snapshot>` +
    `<lastUpdated>20000101000000</lastUpdated><snapshotVersions>${files.join("")}` +
    "</snapshotVersions></versioning></metadata>"
  );
}

function snapshot(extension: string, build: string): string {
  return (
    `<snapshotVersion><extension>${extension}</extension><value>0-${build}</value>` +
    "<updated>20000101000000</updated></snapshotVersion>"
  );
}
