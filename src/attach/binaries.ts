/**
 * The compiled files to attach: those of the package if they fit, else compiled for this nginx.
 */
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { buildEnvironment, type Environment } from "../host/environment.js";
import { isJdk, type Jdk, type NoJdk } from "../host/jdk.js";
import { nodeApiInclude, type ShippedFiles } from "../host/package.js";
import type { Platform } from "../host/platform.js";
import { compilerOf, requirePackages } from "../host/toolchain.js";
import { type ElfObject, elfObjectOf } from "../io/elf-object.js";
import { run } from "../io/exec.js";
import { exists, sha256OfFile } from "../io/files.js";
import { hardeningOf } from "../pipeline/hardening.js";
import type { GlueOrigin } from "../pipeline/manifest.js";
import { type HeaderContext, type HeaderWish, prepareHeaders } from "./headers.js";
import type { NginxProgram } from "./nginx-program.js";
import {
  findPrebuilt,
  isPrebuilt,
  PREBUILT_PLACES,
  type Prebuilt,
  type PrebuiltFile,
  type PrebuiltName,
} from "./prebuilt.js";

export interface Binaries {
  readonly origin: GlueOrigin;
  readonly files: Prebuilt;
  readonly glue: ElfObject;
  /** The JDK that runtimes in Java run with, or why there are none. */
  readonly java: Jdk | NoJdk;
}

export interface BinariesWish extends HeaderWish {
  /** --compile */
  readonly compile: boolean;
  readonly jdk: Jdk | NoJdk;
  readonly jobs: number;
}

export interface BinariesContext extends HeaderContext {
  readonly platform: Platform;
  readonly shipped: ShippedFiles;
}

/** `scratch`: a directory for the compiled files. */
export async function provideBinaries(
  nginx: NginxProgram,
  wish: BinariesWish,
  scratch: string,
  context: BinariesContext,
): Promise<Binaries> {
  const found = wish.compile ? undefined : await findPrebuilt({ platform: context.platform });
  if (found && isPrebuilt(found)) return binariesOf(found, "prebuilt", wish.jdk);
  if (found)
    context.log(`compiling, as there are no prebuilt files for this machine: ${found.reason}`);
  await requireCompiler(found?.reason, context.env);
  const dir = await compile(nginx, wish, scratch, context);
  return binariesOf(await compiledIn(dir, context.platform), "compiled", wish.jdk);
}

/** `reason`: why there are no prebuilt files; undefined with --compile. */
export async function requireCompiler(reason: string | undefined, env: Environment): Promise<void> {
  try {
    await requirePackages([], [], env);
  } catch (thrown) {
    if (reason === undefined || !(thrown instanceof NffiError)) throw thrown;
    const packing = "or pack nffi again where make, python3-pip and a JDK are installed";
    throw new NffiError(
      thrown.code,
      `no prebuilt files for this machine: ${reason}; to compile: ${thrown.message}`,
      { hint: `${thrown.hint ?? ""}\n${packing}`.trim(), cause: thrown },
    );
  }
}

async function binariesOf(
  files: Prebuilt,
  origin: GlueOrigin,
  jdk: Jdk | NoJdk,
): Promise<Binaries> {
  const fileOf = (wanted: string) => files.files.find(({ name }) => name === wanted)?.file;
  const glue = await elfObjectOf(fileOf("libnffi_glue.so") ?? "").catch(() => undefined);
  if (glue === undefined) {
    throw new NffiError("input-missing", "this installation of nffi has no libnffi_glue.so", {
      hint: "install nffi again, or use --compile",
    });
  }
  const hasJava = fileOf("libnffi_java.so") !== undefined && fileOf("nffi.jar") !== undefined;
  const reason = "the prebuilt files have no part for Java";
  return { origin, files, glue, java: hasJava || !isJdk(jdk) ? jdk : { reason } };
}

/** The files that make has built, under the names of the prebuilt files. */
async function compiledIn(dir: string, { glibc = "" }: Platform): Promise<Prebuilt> {
  const files: PrebuiltFile[] = [];
  for (const name of Object.keys(PREBUILT_PLACES) as PrebuiltName[]) {
    const file = join(dir, name);
    if (await exists(file)) files.push({ name, file, sha256: await sha256OfFile(file) });
  }
  return { glibc, files };
}

/** Returns the directory of the compiled files. */
async function compile(
  nginx: NginxProgram,
  wish: BinariesWish,
  scratch: string,
  context: BinariesContext,
): Promise<string> {
  const { env, shipped, platform, signal } = context;
  const includes = await prepareHeaders(nginx, wish, scratch, context);
  const dir = join(scratch, "build");
  const { cFlags, ldFlags } = hardeningOf({ flavor: "release" }, env, platform.arch);
  const variables = {
    BUILD_DIR: dir,
    NODE_API_INCLUDE: nodeApiInclude(),
    NGINX_INCS: includes,
    CC: compilerOf(env),
    CFLAGS: [
      ...cFlags,
      env.CFLAGS ?? "-O2 -g",
      `-ffile-prefix-map=${shipped.root}=/usr/src/nffi`,
    ].join(" "),
    LDFLAGS: [...ldFlags, env.LDFLAGS ?? ""].join(" ").trim(),
    JAVA_HOME: isJdk(wish.jdk) ? wish.jdk.home : "",
  };
  const args = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  let output = "";
  const done = await run(
    {
      program: "make",
      args: ["-C", shipped.cSource, `-j${wish.jobs}`, "all", "glue", ...args],
      env: buildEnvironment(env),
    },
    {
      signal,
      onOutput: (text) => {
        output += text;
        context.log(text.trimEnd());
      },
    },
  );
  if (done.exitCode === 0) return dir;
  throw new NffiError("compile-failed", `the glue for ${nginx.path} cannot be compiled`, {
    hint: output.trim().split("\n").slice(-12).join("\n"),
  });
}
