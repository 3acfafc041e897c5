/** The only door to the platform: where nffi runs, and a clear refusal elsewhere. */
import { availableParallelism, release } from "node:os";
import { NffiError } from "../errors.js";

export interface Platform {
  readonly os: string;
  readonly arch: string;
  /** The version of glibc; undefined on musl. */
  readonly glibc: string | undefined;
  readonly kernel: string;
  readonly cpus: number;
}

export function currentPlatform(): Platform {
  return {
    os: process.platform,
    arch: process.arch,
    glibc: glibcVersion(),
    kernel: release(),
    cpus: availableParallelism(),
  };
}

const ARCHITECTURES = new Set(["x64", "arm64"]);
const OLDEST_KERNEL = [5, 4] as const;

/** Throws unless the platform is one that nffi supports. */
export function requireSupported(platform: Platform): void {
  const reason = refusalOf(platform);
  if (!reason) return;
  throw new NffiError("platform-unsupported", `nffi does not run here: ${reason}`, {
    hint: "it needs Linux 5.4 or newer with glibc, on x86-64 or arm64",
  });
}

function refusalOf(platform: Platform): string | undefined {
  if (platform.os !== "linux") return `the system is ${platform.os}`;
  if (!ARCHITECTURES.has(platform.arch)) return `the processor is ${platform.arch}`;
  if (!platform.glibc) return "the C library is not glibc (musl?)";
  const [major = 0, minor = 0] = platform.kernel
    .split(".")
    .map((part) => Number.parseInt(part, 10));
  if (major < OLDEST_KERNEL[0] || (major === OLDEST_KERNEL[0] && minor < OLDEST_KERNEL[1])) {
    return `the kernel is ${platform.kernel}`;
  }
  return undefined;
}

function glibcVersion(): string | undefined {
  // Otherwise the report asks the name server about every open connection.
  Object.assign(process.report ?? {}, { excludeNetwork: true });
  const report = process.report?.getReport() as
    | { header?: { glibcVersionRuntime?: string } }
    | undefined;
  return report?.header?.glibcVersionRuntime;
}
