/**
 * Where the proof of a product runs, and as which user. An nginx that root starts runs its workers
 * as another user, who can neither enter root's build directory nor read the files of a strict
 * umask. So nffi proves a copy with the modes of an installed product, in a directory that all
 * users may enter.
 */
import { chmod, cp, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildEnvironment, type Environment } from "../host/environment.js";
import { findUser, isRoot, mayEnter, type User } from "../host/user.js";
import { run } from "../io/exec.js";
import { makePublic } from "../io/public-modes.js";

export interface ProofPlace {
  readonly productDir: string;
  readonly librariesFrom: string;
  /** Searched for them before the rpath of nginx; undefined in the prefix, as its users run it. */
  readonly libraryPath: string | undefined;
  /** nginx needs this option; otherwise its workers run as they do after an install. */
  readonly workersAreRoot: boolean;
}

export interface PlaceContext {
  readonly env: Environment;
  /** Why the proof does not run as the workers will. */
  warn(text: string): void;
}

/** The user of nginx's workers where nginx.conf names none. */
export async function workerUser(
  configureArgs: readonly string[],
  env: Environment,
): Promise<{ readonly name: string; readonly user: User | undefined }> {
  const named = configureArgs.findLast((arg) => arg.startsWith("--user="));
  const name = named?.slice("--user=".length) || "nobody";
  return { name, user: await findUser(name, env) };
}

/** For a staged product, which is to be installed into `prefix`. */
export async function withStagedPlace<T>(
  where: Pick<ProofPlace, "productDir" | "librariesFrom">,
  { prefix, configureArgs }: { readonly prefix: string; readonly configureArgs: readonly string[] },
  context: PlaceContext,
  body: (place: ProofPlace) => Promise<T>,
): Promise<T> {
  const staged = { ...where, libraryPath: libraryPathOf(where.productDir) };
  if (!isRoot()) return body({ ...staged, workersAreRoot: false });
  const { name, user } = await workerUser(configureArgs, context.env);
  if (!user) {
    context.warn(`unknown user ${name} of nginx's workers; the proof ran as root`);
    return body({ ...staged, workersAreRoot: true });
  }
  if (!(await mayEnter(prefix, user, context.env))) {
    context.warn(
      `nginx's workers run as ${name} when root starts nginx, and ${name} may not enter ${prefix}; ` +
        "name another `user` in nginx.conf, or install into another --prefix",
    );
  }
  for (const parent of [tmpdir(), prefix]) {
    const folder = await mkdtemp(join(parent, "nffi-proof-"));
    try {
      const productDir = join(await realpath(folder), "product");
      await chmod(folder, 0o755);
      await copyPublic(staged.productDir, productDir);
      // Not where programs may not run (noexec), or where a directory above is closed.
      const libraryPath = libraryPathOf(productDir);
      const place = { productDir, librariesFrom: productDir, libraryPath };
      if (!(await startsAs(user, place, context.env))) continue;
      return await body({ ...place, workersAreRoot: false });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  context.warn(`no directory found where ${name} can run nginx; proven as root`);
  return body({ ...staged, workersAreRoot: true });
}

/** For a product in its prefix. */
export async function installedPlace(
  prefix: string,
  configureArgs: readonly string[],
  context: PlaceContext,
): Promise<ProofPlace> {
  const place = { productDir: prefix, librariesFrom: prefix, libraryPath: undefined };
  if (!isRoot()) return { ...place, workersAreRoot: false };
  const { name, user } = await workerUser(configureArgs, context.env);
  const canRun = user !== undefined && (await startsAs(user, place, context.env));
  if (!canRun) context.warn(`${name}, as whom nginx's workers run, cannot run it; proven as root`);
  return { ...place, workersAreRoot: !canRun };
}

async function copyPublic(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, verbatimSymlinks: true });
  await makePublic(to);
}

function libraryPathOf(productDir: string): string {
  return `${join(productDir, "luajit/lib")}:${join(productDir, "nffi/lib")}`;
}

/** For the environment of nginx. */
export function libraryVariable({ libraryPath }: Pick<ProofPlace, "libraryPath">) {
  return libraryPath === undefined ? {} : { LD_LIBRARY_PATH: libraryPath };
}

async function startsAs(
  user: User,
  place: Pick<ProofPlace, "productDir" | "libraryPath">,
  env: Environment,
): Promise<boolean> {
  const { exitCode } = await run({
    program: join(place.productDir, "nginx/sbin/nginx"),
    args: ["-v"],
    cwd: "/",
    env: { ...buildEnvironment(env), ...libraryVariable(place) },
    user,
  });
  return exitCode === 0;
}
