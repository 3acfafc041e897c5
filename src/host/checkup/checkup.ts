/** Looks over a machine: whether `nffi build` can work here, and which languages are there. */
import { type NffiError, toNffiError } from "../../errors.js";
import type { Environment } from "../environment.js";
import { type Platform, requireSupported } from "../platform.js";
import type { RequiredPackage } from "../toolchain.js";
import { type Finding, finding } from "./finding.js";
import { checkFolders, type Folders } from "./folders.js";
import { checkLanguages } from "./languages.js";
import { checkToolchain } from "./toolchain.js";

export interface Checkup {
  readonly platform: Platform;
  readonly env: Environment;
  readonly folders: Folders;
  readonly packages: readonly RequiredPackage[];
}

export async function checkMachine(checkup: Checkup): Promise<Finding[]> {
  const [toolchain, folders, languages] = await Promise.all([
    checkToolchain(checkup.packages, checkup.env),
    checkFolders(checkup.folders),
    checkLanguages(checkup.env),
  ]);
  return [checkPlatform(checkup.platform), ...toolchain, ...folders, ...languages];
}

function checkPlatform(platform: Platform): Finding {
  const { os, arch, kernel, glibc, cpus } = platform;
  const refusal = refusalOf(platform);
  if (refusal) return finding("missing", "platform", refusal.message);
  return finding("ok", "platform", `${os} ${kernel}, ${arch}, glibc ${glibc}, ${cpus} CPUs`);
}

function refusalOf(platform: Platform): NffiError | undefined {
  try {
    requireSupported(platform);
    return undefined;
  } catch (thrown) {
    return toNffiError(thrown);
  }
}
