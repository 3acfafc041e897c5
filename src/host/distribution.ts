/**
 * The family of distributions of this machine, according to /etc/os-release, and its command to
 * install packages.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Family, installCommand } from "../catalog/system-packages.js";
import { environment } from "./environment.js";
import { isRoot } from "./user.js";

const FAMILIES: Readonly<Record<string, Family>> = {
  debian: "debian",
  ubuntu: "debian",
  fedora: "fedora",
  rhel: "fedora",
  centos: "fedora",
  suse: "suse",
  opensuse: "suse",
  arch: "arch",
};

/** Returns undefined for a distribution whose packages nffi does not know. */
export function currentFamily(osRelease = "/etc/os-release"): Family | undefined {
  try {
    return familyOf(readFileSync(osRelease, "utf8"));
  } catch {
    return undefined;
  }
}

export function familyOf(osRelease: string): Family | undefined {
  const value = (key: string) =>
    new RegExp(`^${key}=["']?([^"'\\n]*)`, "m").exec(osRelease)?.[1] ?? "";
  const names = `${value("ID")} ${value("ID_LIKE")}`.split(/\s+/);
  return names.map((name) => FAMILIES[name]).find((family) => family !== undefined);
}

/** The facts that decide how packages are installed here. */
export interface Installer {
  readonly family: Family | undefined;
  readonly isRoot: boolean;
  readonly hasSudo: boolean;
  /** False on a machine whose apt has not read its package lists yet, such as a new container. */
  readonly hasLists: boolean;
}

export function currentInstaller(): Installer {
  return {
    family: currentFamily(),
    isRoot: isRoot(),
    hasSudo: isInPath("sudo"),
    hasLists: hasPackageLists(),
  };
}

/** The command line that installs packages here, to be copied into a shell. */
export function installHint(debian: readonly string[], installer = currentInstaller()): string {
  const { family, isRoot, hasSudo } = installer;
  if (family === undefined) return `on Debian: apt-get install ${debian.join(" ")}`;
  const commands = installCommands(debian, family, installer);
  const sudo = isRoot || !hasSudo ? [] : ["sudo"];
  const line = commands.map((command) => [...sudo, ...command].join(" ")).join(" && ");
  return isRoot || hasSudo ? line : `as root: ${line}`;
}

/** The command lines that install packages, one after the other. */
export function installCommands(
  debian: readonly string[],
  family: Family,
  { hasLists }: Pick<Installer, "hasLists"> = currentInstaller(),
): string[][] {
  const needsUpdate = family === "debian" && !hasLists;
  return [...(needsUpdate ? [["apt-get", "update"]] : []), installCommand(debian, family)];
}

function isInPath(program: string): boolean {
  const folders = (environment.PATH ?? "").split(delimiter);
  return folders.some((folder) => folder !== "" && existsSync(join(folder, program)));
}

function hasPackageLists(): boolean {
  try {
    return readdirSync("/var/lib/apt/lists").some((name) => name.includes("_Packages"));
  } catch {
    return false;
  }
}
