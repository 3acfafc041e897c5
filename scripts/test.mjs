// `npm test`: installs what the tests need, compiles, and runs all of them except test/full.
// With --full (`npm run test:full`) it runs those instead. The last line counts the tests, from
// vitest's own report: "N passed, N failed"; the line before it is "N skipped" if any were.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { relative } from "node:path";
import { $ } from "zx";
import { ensurePackages, FOR_BUILD, isOffered } from "./os-packages.mjs";

const FOR_TESTS = [
  "busybox:busybox",
  "cargo:cargo",
  "ccache:ccache",
  "clang-tidy:clang-tidy",
  "curl:curl",
  "default-jdk-headless:javac",
  "fish:fish",
  "golang-go:go",
  "iproute2:ip",
  "libjansson-dev",
  "libpq-dev",
  "libpython3-dev",
  "lua-check:luacheck",
  "maven:mvn",
  "nats-server:nats-server",
  "pkg-config:pkg-config",
  "postgresql",
  "python3-pandas",
  "python3-pip:pip3",
  "python3-venv",
  "rust-clippy:cargo-clippy",
  "rustc:rustc",
  "rustfmt:rustfmt",
  "shellcheck:shellcheck",
  "valgrind",
  "zsh:zsh",
];
// Debian 12 has it; without it the bookworm suite cannot be built, and its tests are skipped.
const FOR_BOOKWORM = "libpcre3-dev";
/** Additional packages for test/full. */
const FOR_FULL = [
  "chromium:chromium",
  "debootstrap:debootstrap",
  "qemu-user:qemu-aarch64",
  "util-linux:unshare",
];

const { full, filters } = argumentsOf(process.argv.slice(2));
const REPORT = full ? ".nffi/test/report-full.json" : ".nffi/test/report.json";

process.chdir(new URL("..", import.meta.url).pathname);
const inherit = $({ stdio: ["ignore", "inherit", "inherit"], nothrow: true });

const bookworm = (await isOffered(FOR_BOOKWORM)) ? [FOR_BOOKWORM] : [];
await ensurePackages([...FOR_BUILD, ...FOR_TESTS, ...bookworm, ...(full ? FOR_FULL : [])]);

const compiled = await inherit`node_modules/.bin/tsc -p tsconfig.json`;
if (compiled.exitCode !== 0) end({ passed: 0, failed: 1, skipped: 0 });
process.env.NFFI_TEST_COMPILED = "1"; // test/support/compile.ts need not

rmSync(REPORT, { force: true });
const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${REPORT}`];
const project = full ? "--project=full*" : "--project=!full*";
const vitest = await inherit`node_modules/.bin/vitest run ${project} ${reporters} ${filters}`;
printSlowest();
end(countsOf(vitest.exitCode));

/** The files that take longest, so that a slow one is seen by who adds it. */
function printSlowest() {
  if (!existsSync(REPORT)) return;
  const { testResults } = JSON.parse(readFileSync(REPORT, "utf8"));
  const times = testResults.map(({ name, startTime, endTime }) => ({
    file: relative(".", name),
    seconds: Math.round((endTime - startTime) / 1000),
  }));
  const slowest = times.sort((a, b) => b.seconds - a.seconds).slice(0, 10);
  console.log("\nThe slowest files:");
  for (const { file, seconds } of slowest) console.log(`${String(seconds).padStart(5)} s  ${file}`);
}

function argumentsOf(args) {
  const own = ["--full", "--yes"];
  return {
    full: args.includes("--full"),
    filters: args.filter((argument) => !own.includes(argument)),
  };
}

function countsOf(exitCode) {
  if (!existsSync(REPORT)) return { passed: 0, failed: 1, skipped: 0 };
  const report = JSON.parse(readFileSync(REPORT, "utf8"));
  // A file that fails before its first test has no test to count, but has failed.
  const brokenFiles = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === "failed" && !assertionResults.some((test) => test.status === "failed"),
  );
  const failed = report.numFailedTests + brokenFiles.length;
  return {
    passed: report.numPassedTests,
    failed: exitCode !== 0 && failed === 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

function end({ passed, failed, skipped }) {
  if (skipped > 0) console.log(`${skipped} skipped`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed > 0 ? 1 : 0);
}
