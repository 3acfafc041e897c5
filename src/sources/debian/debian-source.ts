/**
 * The debian source: an OpenResty assembled from the distribution's signed source packages, for
 * machines that reach only a Debian mirror. Three steps, each taking the type the last one made:
 * resolve the suite, fetch its packages (verified by apt's signatures), assemble the tree with
 * bundle/ and configure that the official release would have.
 */
import { chmod, copyFile, mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { NffiError } from "../../errors.js";
import { shipped } from "../../host/package.js";
import { acquireLock } from "../../io/lock.js";
import {
  type Choice,
  chooseLuaPackage,
  chooseRevision,
  type Downloads,
  downloadSources,
  type FetchedComponent,
} from "./choose-revision.js";
import { layOut } from "./lay-out.js";
import { type MachineArchive, type MachinePlaces, readMachineArchives } from "./machine-archive.js";
import type { DebianNote } from "./notes.js";
import { type AptOptions, preparePrivateApt, updateIndex } from "./private-apt.js";
import { requireDebianOrigin } from "./release-origin.js";
import { parseSourceIndex } from "./source-index.js";
import {
  DEBIAN_SUITES,
  type DebianComponent,
  type DebianSuite,
  findSuite,
  treeVersion,
} from "./suites.js";

export interface ResolvedDebianSuite {
  readonly suite: DebianSuite;
  readonly archive: MachineArchive;
  /** Entries of apt that name no key: they may be Debian's if `archive` is not. */
  readonly otherArchives?: readonly MachineArchive[];
}

export interface FetchedDebianSources {
  readonly suite: DebianSuite;
  readonly components: readonly FetchedComponent[];
  readonly notes: readonly DebianNote[];
}

export interface DebianTree {
  /** The directory with configure and bundle/. */
  readonly root: string;
  /** "1.26.3-debian-trixie" */
  readonly version: string;
  readonly suite: DebianSuite;
  readonly components: readonly DebianTreeComponent[];
  readonly notes: readonly DebianNote[];
  /** Every archive that the tree was made of, for the manifest. */
  readonly origins: readonly DebianOrigin[];
}

export interface DebianTreeComponent {
  readonly name: string;
  readonly version: string;
  readonly debianVersion: string;
  /** Its directory in bundle/, without the path. */
  readonly directory: string;
  readonly debianPatches: readonly string[];
}

export interface DebianOrigin {
  readonly name: string;
  readonly version: string;
  readonly file: string;
  readonly sha256: string;
}

/** `wanted` is a suite, its nginx version or "1.26.3-debian-trixie"; the newest suite if absent. */
export async function resolveDebianSuite(
  wanted?: string,
  options: MachinePlaces = {},
): Promise<ResolvedDebianSuite> {
  const suite = wanted === undefined ? DEBIAN_SUITES[0] : findSuite(wanted);
  if (!suite) {
    const known = DEBIAN_SUITES.map(({ name, nginx }) => `${name} (nginx ${nginx})`).join(", ");
    throw new NffiError("release-unknown", `unknown Debian suite "${wanted}"`, {
      hint: `known: ${known}`,
    });
  }
  const [archive, ...otherArchives] = await readMachineArchives(suite.name, options);
  return { suite, archive, otherArchives };
}

/** Fetches into `cacheDir`, which is kept: files that are there are verified and used again. */
export async function fetchDebianSources(
  resolved: ResolvedDebianSuite,
  options: AptOptions & { readonly cacheDir: string },
): Promise<FetchedDebianSources> {
  const dir = resolve(options.cacheDir, `debian-${resolved.suite.name}`);
  const files = join(dir, "files");
  await mkdir(files, { recursive: true });
  const lock = await acquireLock(dir, { wait: true });
  try {
    return await fetchInto(dir, files, resolved, options);
  } finally {
    await lock.release();
  }
}

/** Creates the tree as `<into>/openresty-<version>`; an existing tree is replaced. */
export async function assembleDebianTree(
  fetched: FetchedDebianSources,
  options: AptOptions & { readonly into: string; readonly template?: string },
): Promise<DebianTree> {
  const nginx = fetched.components.find(({ component }) => component.component === "nginx");
  const version = treeVersion(nginx?.version ?? fetched.suite.nginx, fetched.suite);
  const root = resolve(options.into, `openresty-${version}`);
  const bundle = join(root, "bundle");
  const template = options.template ?? shipped.debianTree;
  await rm(root, { recursive: true, force: true });
  await mkdir(bundle, { recursive: true });

  const components: DebianTreeComponent[] = [];
  for (const part of fetched.components) {
    const { version, debianVersion, component } = part;
    const laidOut = await layOut(part, { ...options, bundle, template });
    components.push({ name: component.component, version, debianVersion, ...laidOut });
  }
  await copyFile(join(template, "configure"), join(root, "configure"));
  await chmod(join(root, "configure"), 0o755);
  const origins = fetched.components.flatMap(originsOf);
  return { root, version, suite: fetched.suite, components, notes: fetched.notes, origins };
}

/** The first archive that Debian has signed and that says that it is Debian's. */
export async function openDebianArchive(
  dir: string,
  { suite, archive, otherArchives = [] }: ResolvedDebianSuite,
  options: AptOptions,
) {
  let refusal: unknown;
  for (const candidate of [archive, ...otherArchives]) {
    const request = { dir, suite: suite.name, archive: candidate };
    try {
      const apt = await preparePrivateApt({ ...request, withBinaries: false }, options);
      const isStale = (await updateIndex(apt, options)) === "stale";
      await requireDebianOrigin(apt);
      return { apt, request, isStale };
    } catch (thrown) {
      const isOther = thrown instanceof NffiError && REFUSALS.includes(thrown.code);
      if (!isOther) throw thrown;
      refusal ??= thrown;
    }
  }
  throw refusal;
}

/** Of an archive that is not Debian's, or does not have the suite. */
const REFUSALS: readonly string[] = ["verify-failed", "fetch-failed"];

async function fetchInto(
  dir: string,
  files: string,
  resolved: ResolvedDebianSuite,
  options: AptOptions,
): Promise<FetchedDebianSources> {
  const { suite } = resolved;
  const { apt, request, isStale } = await openDebianArchive(join(dir, "apt"), resolved, options);
  const notes: DebianNote[] = request.archive.security ? [] : [noSecurityNote(suite)];
  if (isStale) notes.push(staleNote(suite));
  const downloads: Downloads = { dir: files, apt, options };

  const names = suite.components.map(({ source }) => source);
  const shown = await apt.run("apt-cache", ["showsrc", "--only-source", ...names], options);
  const index = parseSourceIndex(shown.stdout);
  await downloadSources(
    [...index.values()].flatMap(([newest]) => newest ?? []),
    downloads,
  );

  const choices = new Map<DebianComponent, Choice>();
  for (const component of suite.components) {
    const revisions = index.get(component.source) ?? [];
    choices.set(component, await chooseRevision(component, revisions, downloads));
  }
  const lost = [...choices].filter(([{ luaPackage }, { fetched }]) => luaPackage && !fetched);
  if (lost.length > 0) {
    const withBinaries = await preparePrivateApt({ ...request, withBinaries: true }, options);
    await updateIndex(withBinaries, options);
    for (const [component] of lost) {
      choices.set(
        component,
        await chooseLuaPackage(component, { ...downloads, apt: withBinaries }),
      );
    }
  }
  const taken = [...choices].map(([component, choice]) => required(component, choice, suite));
  return {
    suite,
    components: taken.flatMap(({ fetched }) => fetched ?? []),
    notes: [...notes, ...taken.flatMap((choice) => choice.notes)],
  };
}

/** A missing extra is a note, anything else that is missing an error. */
function required(component: DebianComponent, choice: Choice, suite: DebianSuite): Choice {
  if (choice.fetched) return choice;
  const missing = `the archive of ${suite.name} lacks ${component.source}`;
  if (component.required) {
    throw new NffiError("fetch-failed", missing, {
      hint: "try again, or use another suite with --source debian:SUITE",
    });
  }
  const text = `${missing}; OpenResty is built without ${component.component}`;
  return {
    fetched: undefined,
    notes: [{ kind: "extra-missing", component: component.component, text }],
  };
}

function noSecurityNote({ name }: DebianSuite): DebianNote {
  const text = `apt of this machine names no security archive: ${name} comes without its updates`;
  return { kind: "no-security-suite", text };
}

function staleNote({ name }: DebianSuite): DebianNote {
  const text = `the mirror is out of reach; the index of ${name} from an earlier run is used`;
  return { kind: "index-stale", text };
}

function originsOf({ component, debianVersion, files }: FetchedComponent): DebianOrigin[] {
  const verified =
    files.kind === "lua-package" ? [files.deb] : [files.orig, files.packaging ?? []].flat();
  return verified.map(({ name, sha256 }) => ({
    name: component.component,
    version: debianVersion,
    file: name,
    sha256,
  }));
}
