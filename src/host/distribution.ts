/** Which family of distributions this machine belongs to, by /etc/os-release. */
import { readFileSync } from "node:fs";
import { type Family, installCommand } from "../catalog/system-packages.js";

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

/** undefined where the distribution is none that nffi knows the packages of. */
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

/** "on Debian: apt-get install make", or what this machine's distribution has for it. */
export function installHint(debian: readonly string[], family = currentFamily()): string {
  if (family !== undefined && family !== "debian") return installCommand(debian, family).join(" ");
  return `on Debian: apt-get install ${debian.join(" ")}`;
}
