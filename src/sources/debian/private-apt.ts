/**
 * apt with a private state: lists, cache, sources and configuration are in one directory and passed
 * with APT_CONFIG, so that the machine's apt is neither changed nor locked, and root is not needed.
 * The machine's settings for proxies and certificates apply; its hooks do not run, and nothing
 * unsigned is ever accepted.
 */
import { chmod, mkdir, readdir, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../../errors.js";
import { installHint } from "../../host/distribution.js";
import { buildEnvironment, type Environment, environment } from "../../host/environment.js";
import { type Completed, run } from "../../io/exec.js";
import { renderParagraph } from "./control-file.js";
import type { ArchivePlace, MachineArchive } from "./machine-archive.js";

export interface AptOptions {
  readonly signal?: AbortSignal | undefined;
  /** Gets what apt prints. */
  readonly log?: ((text: string) => void) | undefined;
  /** The user's environment; by default the environment of this process. */
  readonly env?: Environment | undefined;
}

/** What apt, tar and patch get of the user's environment. */
export function environmentOf({ env = environment }: AptOptions): Record<string, string> {
  return buildEnvironment(env);
}

export interface PrivateApt {
  readonly dir: string;
  readonly suite: string;
  run(
    program: string,
    args: readonly string[],
    options: AptOptions,
    cwd?: string,
  ): Promise<Completed>;
}

export interface PrivateAptRequest {
  readonly dir: string;
  readonly suite: string;
  readonly archive: MachineArchive;
  /** Also read the index of binary packages; it is as large again. */
  readonly withBinaries: boolean;
}

/** Writes the directory; what earlier runs left in it is kept. */
export async function preparePrivateApt(
  request: PrivateAptRequest,
  options: AptOptions,
): Promise<PrivateApt> {
  const { dir, suite } = request;
  const config = join(dir, "apt.conf");
  const folders = [
    "state/lists/partial",
    "cache/archives/partial",
    "etc/parts",
    "etc/preferences.d",
  ];
  for (const folder of [...folders, "etc/sources.list.d"]) {
    await mkdir(join(dir, folder), { recursive: true });
  }
  await requireSpace(dir);
  await writeFile(join(dir, "state", "status"), "");
  await writeFile(join(dir, "etc", "sources.list.d", "nffi.sources"), renderSources(request));

  // Asked before APT_CONFIG is ours; no apt at all is noticed here.
  const { APT_CONFIG } = options.env ?? environment;
  const ofUser: Record<string, string> = APT_CONFIG ? { APT_CONFIG } : {};
  const machine = await runApt("apt-config", ["dump"], ofUser, options);
  if (machine.startError) throw noApt(machine.startError);
  await writeFile(config, renderConfig(dir, machine.stdout));
  await chmod(config, 0o600); // a proxy's password may be in it

  const env = { APT_CONFIG: config };
  return {
    ...{ dir, suite },
    run: async (program, args, opts, cwd) => {
      const completed = await runApt(program, args, env, opts, cwd);
      const isFull = /no space left on device|enough free space/i.test(completed.stderr);
      if (completed.exitCode !== 0 && isFull) throw noSpace(cwd ?? dir);
      return completed;
    },
  };
}

/** apt's lists take 10 to 20 MB, and on a full disk apt tries for minutes. */
const LISTS_NEED = 50e6;

async function requireSpace(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < LISTS_NEED) throw noSpace(folder);
}

/** Otherwise a package for which there is no space would seem to be missing from the archive. */
function noSpace(folder: string): NffiError {
  return new NffiError("fetch-failed", `not enough space on the disk of ${folder}`, {
    hint: "make room there (a build needs 600 MB), or use --work-dir or XDG_CACHE_HOME",
  });
}

async function runApt(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
  options: AptOptions,
  cwd?: string,
): Promise<Completed> {
  const command = { program, args, cwd, env: { ...environmentOf(options), ...env, LC_ALL: "C" } };
  const completed = await run(command, { signal: options.signal });
  if (program !== "apt-config" && program !== "apt-cache") {
    options.log?.(`$ ${program} ${args.join(" ")}\n${completed.stdout}${completed.stderr}`);
  }
  return completed;
}

/** The sources of the private apt: the requested suite, its updates and security updates. */
export function renderSources(request: PrivateAptRequest): string {
  const { archive, suite } = request;
  const paragraph = (place: ArchivePlace | undefined, suites: string) =>
    place &&
    renderParagraph({
      Types: request.withBinaries ? "deb deb-src" : "deb-src",
      URIs: place.uris.join(" "),
      Suites: suites,
      Components: "main",
      "Signed-By": place.signedBy,
    });
  return [
    paragraph(archive.main, suite),
    paragraph(archive.updates, `${suite}-updates`),
    paragraph(archive.security, `${suite}-security`),
  ]
    .filter((text) => text !== undefined)
    .join("\n");
}

/** `dump` is what `apt-config dump` says of the machine. */
export function renderConfig(dir: string, dump: string): string {
  const kept =
    /^Acquire::(?:https?|ftp|Retries|ForceIPv[46]|Check-Date|Check-Valid-Until|Max)\b.*;$/;
  const machine = dump.split("\n").filter((line) => kept.test(line));
  return [
    'Acquire::Retries "2";',
    'Acquire::http::Timeout "30";',
    'Acquire::https::Timeout "30";',
    ...machine,
    `Dir::State "${dir}/state";`,
    `Dir::State::status "${dir}/state/status";`,
    `Dir::Cache "${dir}/cache";`,
    // apt's binary caches of the index took 74 MB here and saved no measurable time.
    'Dir::Cache::pkgcache "";',
    'Dir::Cache::srcpkgcache "";',
    // Read after this file, the machine's own parts would win and its hooks would run.
    `Dir::Etc::parts "${dir}/etc/parts";`,
    `Dir::Etc::main "${dir}/etc/none.conf";`,
    `Dir::Etc::sourcelist "${dir}/etc/none.list";`,
    `Dir::Etc::sourceparts "${dir}/etc/sources.list.d";`,
    `Dir::Etc::preferences "${dir}/etc/none";`,
    `Dir::Etc::preferencesparts "${dir}/etc/preferences.d";`,
    'Acquire::AllowInsecureRepositories "false";',
    'Acquire::AllowDowngradeToInsecureRepositories "false";',
    'APT::Get::AllowUnauthenticated "false";',
    'Acquire::Languages "none";',
    'Acquire::GzipIndexes "true";',
    'APT::Update::Error-Mode "any";',
    // apt's own user may not enter the directory where the caller keeps its downloads.
    'APT::Sandbox::User "root";',
    "",
  ].join("\n");
}

/** Whether the index is fresh, or as an earlier run left it because the mirror is out of reach. */
export async function updateIndex(
  apt: PrivateApt,
  options: AptOptions,
): Promise<"fresh" | "stale"> {
  const update = await apt.run("apt-get", ["update"], options);
  if (update.startError) throw noApt(update.startError);
  if (update.exitCode === 0) return "fresh";

  const output = `${update.stdout}\n${update.stderr}`;
  const said = complaints(output);
  if (
    /NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|is not signed|signatures? (?:was|were) invalid/.test(
      output,
    )
  ) {
    throw new NffiError("verify-failed", `apt does not trust the index of ${apt.suite}:\n${said}`, {
      hint: `update the keys: ${installHint(["debian-archive-keyring"])}`,
    });
  }
  if (/does not have a Release file|404 +Not Found/.test(output)) {
    throw new NffiError("fetch-failed", `this machine's mirror has no ${apt.suite}:\n${said}`, {
      hint: "take a suite that it has: --source debian:trixie or --source debian:bookworm",
    });
  }
  const lists = await readdir(join(apt.dir, "state", "lists"));
  if (lists.some((name) => name.includes("_Sources"))) return "stale";
  throw new NffiError("fetch-failed", `apt cannot read the index of ${apt.suite}:\n${said}`, {
    hint: "check that the mirror in /etc/apt is reachable and the proxy is correct",
  });
}

/** The first lines of apt's output that explain the failure. */
function complaints(output: string): string {
  const lines = output.split("\n").filter((line) => /^[EW]: (?!Some index)/.test(line));
  return [...new Set(lines)].slice(0, 3).join("\n") || "apt-get update failed without a word";
}

function noApt(startError: string): NffiError {
  return new NffiError("platform-unsupported", `apt cannot be run here (${startError})`, {
    hint:
      "the debian source needs a Debian machine;\n" +
      "elsewhere use --source official, or --source with a file or URL",
  });
}
