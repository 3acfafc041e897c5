// The operating system's packages that a build needs: lists those that are missing, and installs
// them as root, or with sudo after consent (--yes, NFFI_YES=1 or an answer on the terminal).
import { createInterface } from "node:readline/promises";
import { $, which } from "zx";

const quiet = $({ nothrow: true, quiet: true });

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

/** Those that are missing. `PACKAGE:PROGRAM` is also there if the program is, from wherever. */
export async function missingPackages(packages) {
  const missing = [];
  for (const entry of packages) {
    const [name, program] = entry.split(":");
    if (program && (await which(program, { nothrow: true }))) continue;
    const query = await quiet`dpkg-query --status ${name}`;
    if (!query.stdout.includes("Status: install ok installed")) missing.push(name);
  }
  return missing;
}

/** Whether the machine's archive has a package: libpcre3-dev was removed in Debian 13. */
export async function isOffered(name) {
  const isCandidate = async () =>
    /Candidate: (?!\(none\))/.test((await quiet`apt-cache policy ${name}`).stdout);
  if (await isCandidate()) return true;
  // a new machine may have no lists yet
  if (process.getuid() !== 0) return false;
  await quiet`apt-get update`;
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
  const hasSudo = (await which("sudo", { nothrow: true })) !== null;
  if (!isRoot && !(hasSudo && (await consent()))) {
    for (const line of instructions(missing, hasSudo)) console.error(line);
    process.exit(4);
  }
  await install(missing, isRoot);
}

async function hasDpkg() {
  const { exitCode } = await quiet`dpkg-query --version`;
  return exitCode === 0;
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
  const apt = $({ stdio: [isRoot ? "ignore" : "inherit", "inherit", "inherit"] });
  await apt`${sudo} ${environment} apt-get update`;
  await apt`${sudo} ${environment} apt-get install ${options} ${packages}`;
}
