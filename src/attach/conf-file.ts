/**
 * The file of --write-conf: the line that nginx needs, in a file that nginx.conf includes. It is
 * put in place together with the product, whose manifest names it.
 */
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { nginxEnvironment } from "../host/environment.js";
import { run } from "../io/exec.js";
import { exists, sha256OfFile, writeFileWhole } from "../io/files.js";
import type { AttachedManifest } from "../pipeline/manifest.js";
import { lineOf } from "./conf-line.js";
import { directivesOf, lastError, type NginxConf, type ReadContext } from "./nginx-conf.js";
import type { NginxProgram } from "./nginx-program.js";
import type { NgxLua } from "./ngx-lua.js";

export type ConfRecord = NonNullable<AttachedManifest["conf"]>;

export interface StagedConf {
  /** The record in the manifest; the file is not there yet. */
  readonly record: ConfRecord;
  /** The content. */
  readonly source: string;
}

/** True if the file is there as nffi has written it. */
export async function isAsWritten(record: ConfRecord): Promise<boolean> {
  return (await sha256OfFile(record.path).catch(() => undefined)) === record.sha256;
}

/** Throws if nffi must not write the file; changes nothing. */
export async function requireWritableConf(
  file: string,
  previous: AttachedManifest["conf"],
  ngxLua: NgxLua,
  conf: NginxConf,
): Promise<void> {
  if (previous && previous.path !== file && (await exists(previous.path))) {
    throw new NffiError("usage", `--write-conf: the line is in ${previous.path} already`, {
      hint: "run this without --write-conf, which keeps that file, or remove it first",
    });
  }
  if (ngxLua.configuredPath !== undefined && previous?.path !== file) {
    const at = directivesOf(conf.files, "lua_package_path")[0]?.file ?? "nginx.conf";
    throw new NffiError("usage", `--write-conf: ${at} has a lua_package_path already`, {
      hint: "nginx takes one only; run this without --write-conf, which prints how to change it",
    });
  }
  if (!(await exists(file))) return;
  if (previous?.path === file && (await isAsWritten(previous))) return;
  throw new NffiError("foreign-files", `--write-conf ${file}: the file exists already`, {
    hint:
      previous?.path === file
        ? "it was changed since nffi wrote it: run this without --write-conf, which keeps it"
        : "nffi replaces only a file that it has written itself; name another one",
  });
}

/** Writes the content into `dir`, for the file `path`. */
export async function stageConf(path: string, prefix: string, dir: string): Promise<StagedConf> {
  const source = join(dir, "nffi.conf");
  const text = `# Where Lua finds resty.nffi; nffi detach removes this file.\n${lineOf(prefix)}\n`;
  await writeFileWhole(source, text);
  return { record: { path, sha256: await sha256OfFile(source) }, source };
}

/** Throws if nginx, which accepted its configuration before, refuses it with the file in place. */
export async function requireAccepted(
  file: string,
  refusedBefore: string | undefined,
  nginx: NginxProgram,
  context: ReadContext & { warn(text: string): void },
): Promise<void> {
  const refused = await refusalOf(nginx, context);
  if (refused !== undefined && refusedBefore === undefined) {
    throw new NffiError("install-failed", `nginx refuses ${file}: ${refused}`, {
      hint:
        "nothing was installed or changed; the file must be one that nginx.conf includes in\n" +
        "http { }, such as /etc/nginx/conf.d/nffi.conf on Debian",
    });
  }
  if (!(await isIncluded(file, nginx, context))) {
    context.warn(`${nginx.conf} does not include ${file}: add \`include ${file};\` to http { }`);
  }
}

/** Why nginx refuses its configuration; undefined if it accepts it. */
export async function refusalOf(
  nginx: NginxProgram,
  context: ReadContext,
): Promise<string | undefined> {
  const { exitCode, stderr } = await test(nginx, "-t", context);
  return exitCode === 0 ? undefined : (lastError(stderr) ?? stderr.trim());
}

function test(nginx: NginxProgram, option: string, { env, signal }: ReadContext) {
  const args = [option, "-q", "-c", nginx.conf];
  return run({ program: nginx.path, args, cwd: "/", env: nginxEnvironment(env) }, { signal });
}

async function isIncluded(file: string, nginx: NginxProgram, context: ReadContext) {
  const { exitCode, stdout } = await test(nginx, "-T", context);
  // a user who may not test the configuration cannot find out
  return exitCode !== 0 || stdout.includes(`# configuration file ${file}:`);
}
