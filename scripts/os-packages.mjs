// The operating system's packages that a build needs: lists the missing ones, and installs
// them as root, or with sudo after consent (--yes, NFFI_YES=1 or an answer on the terminal).

import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline/promises";

/** Needed by `nffi build` from Debian's sources, for every suite. */
export const FOR_BUILD = [
  "binutils",
  "gcc",
  "libc6-dev",
  "libpcre2-dev",
  "libssl-dev",
  "make",
  "patch",
  "xz-utils",
  "zlib1g-dev",
];

/** The missing ones. `PACKAGE:PROGRAM` is also there if the program is, from wherever. */
export async function missingPackages(packages) {
  const missing = [];
  for (const entry of packages) {
    const [name, program] = entry.split(":");
    if (program && findProgram(program)) continue;
    const query = ask("dpkg-query", "--status", name);
    if (!query.stdout?.includes("Status: install ok installed")) missing.push(name);
  }
  return missing;
}

/** Whether the machine's archive has a package: libpcre3-dev was removed in Debian 13. */
export async function isOffered(name) {
  const isCandidate = async () =>
    /Candidate: (?!\(none\))/.test(ask("apt-cache", "policy", name).stdout);
  if (await isCandidate()) return true;
  // a new machine may have no lists yet
  if (process.getuid() !== 0) return false;
  ask("apt-get", "update");
  return await isCandidate();
}

/** Ends the process with instructions when packages are missing and may not be installed. */
export async function ensurePackages(packages) {
  if (!(await hasDpkg())) {
    const names = packages.map((entry) => entry.split(":")[0]);
    console.log(`not a Debian; needed, perhaps under other names: ${names.join(" ")}`);
    return;
  }
  const missing = await missingPackages(packages);
  if (missing.length === 0) return;
  console.log(`Missing packages of the operating system: ${missing.join(" ")}`);
  const isRoot = process.getuid() === 0;
  const hasSudo = findProgram("sudo");
  if (!isRoot && !(hasSudo && (await consent()))) {
    for (const line of instructions(missing, hasSudo)) console.error(line);
    process.exit(4);
  }
  await install(missing, isRoot);
}

async function hasDpkg() {
  return ask("dpkg-query", "--version").status === 0;
}

function instructions(packages, hasSudo) {
  const sudo = hasSudo ? "sudo " : "";
  return [
    `nffi: install them${hasSudo ? "" : " as root"} and run the command again:`,
    `  ${sudo}apt-get update && ${sudo}apt-get install --no-install-recommends ${packages.join(" ")}`,
    ...(hasSudo ? ["or let this command do it: add -- --yes, or set NFFI_YES=1"] : []),
  ];
}

async function consent() {
  if (process.argv.includes("--yes") || process.env.NFFI_YES === "1") return true;
  if (!process.stdin.isTTY || !process.stdout.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question("Install them with sudo apt-get? [y/N] ");
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

async function install(packages, isRoot) {
  const sudo = isRoot ? [] : ["sudo"];
  const environment = ["env", "DEBIAN_FRONTEND=noninteractive"];
  const options = ["--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"];
  for (const command of [["update"], ["install", ...options, ...packages]]) {
    const [program, ...args] = [...sudo, ...environment, "apt-get", ...command];
    const stdio = [isRoot ? "ignore" : "inherit", "inherit", "inherit"];
    const { status, error } = spawnSync(program, args, { stdio });
    if (status !== 0)
      throw error ?? new Error(`apt-get ${command[0]} failed (exit code ${status})`);
  }
}

function ask(program, ...args) {
  return spawnSync(program, args, { encoding: "utf8" });
}

function findProgram(name) {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder || ".", name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
