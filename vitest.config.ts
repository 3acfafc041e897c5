import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { configDefaults, defineConfig } from "vitest/config";
import { SlowestFirst } from "./test/support/order.js";

// lint: formatter, linter and types; unit, unit-mock: our TypeScript alone; c: the C library and
// the addon through make and node.
// asan, valgrind: some of the e2e files once more, on an nginx that watches its memory.
// e2e: the real CLI and a real nginx (built once for each suite, see test/support/openresty.ts).
// alone: the e2e files that measure memory under load.
// attached: some of the e2e files of the engine once more, on an nginx that nffi has not built.
// full-*: all of them, on each such nginx (test/support/attached-product.ts).
// full: slow proofs that `npm test` leaves out; `npm run test:full` runs them.
// The others run five files at a time, slow ones first (test/support/order.ts): the files of e2e
// wait more than they compute.

// The C library, and the packages of the languages, without nginx.
const IN_PARTS = ["test/c/**/*.test.ts", "test/sdk/*/package.test.ts"];

// The addon of Node under a C program that plays the worker, without nginx.
const OF_ADDON = ["test/sdk/node/addon/**/*.test.ts"];

const ALONE = ["test/e2e/engine-stress.test.ts"];

// Have nothing to run on a built OpenResty.
const OF_ATTACHED = ["test/e2e/engine-attached.test.ts", "test/e2e/engine-attached-stream.test.ts"];

// Debian's own nginx is a layer of /usr, which only root may mount.
const DEBIANS = process.getuid?.() === 0 ? ["debian-12", "debian-13"] : [];

const UNIT = ["test/unit/**/*.test.ts", "test/model/**/*.test.ts"];

// A mock reaches only modules that its process has not loaded: these files get a process each.
const MOCKING = readdirSync("test/unit", { recursive: true, encoding: "utf8" })
  .map((name) => join("test/unit", name))
  .filter((path) => path.endsWith(".test.ts") && readFileSync(path, "utf8").includes("vi.mock("));

// For all builds of a run: test/support/compile-cache.ts.
process.env.CCACHE_DIR ??= resolve(".nffi/test/ccache");
process.env.CCACHE_NOHASHDIR = "1";

// Maven runs for seconds: the JVM's second compiler costs more than it gives.
process.env.MAVEN_OPTS ??= "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

// A file changes nothing that another one sees, so a process runs one after the other. 200 of them
// would each start, and load vitest and what the tests import.
const SIDE_BY_SIDE = { isolate: false, maxWorkers: 5, sequence: { groupOrder: 1 } };

export default defineConfig({
  test: {
    sequence: { sequencer: SlowestFirst },
    projects: [
      {
        test: {
          name: "lint",
          include: ["test/lint/**/*.test.ts"],
          testTimeout: 400_000,
          ...SIDE_BY_SIDE,
        },
      },
      {
        test: {
          name: "unit",
          include: UNIT,
          exclude: [...configDefaults.exclude, ...MOCKING],
          testTimeout: 20_000,
          ...SIDE_BY_SIDE,
        },
      },
      {
        test: {
          name: "unit-mock",
          include: MOCKING,
          testTimeout: 20_000,
          ...SIDE_BY_SIDE,
          isolate: true,
        },
      },
      {
        test: {
          name: "c",
          include: [...IN_PARTS],
          testTimeout: 600_000,
          hookTimeout: 600_000,
          ...SIDE_BY_SIDE,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts", "test/sdk/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...IN_PARTS, ...OF_ADDON, ...ALONE, ...OF_ATTACHED],
          globalSetup: ["test/support/compile.ts"],
          testTimeout: 120_000,
          hookTimeout: 1_500_000,
          ...SIDE_BY_SIDE,
        },
      },
      {
        test: {
          name: "asan",
          include: [
            "test/e2e/engine-{calls,cancel,client-gone,errors,exit,log,metrics,misuse,phases,reload,stream,stress,tls}.test.ts",
            "test/e2e/traps-*.test.ts",
            "test/sdk/node/stream.test.ts",
          ],
          env: {
            NFFI_TEST_FLAVOR: "asan",
            NFFI_TEST_SUITES: "trixie",
            ASAN_OPTIONS: "detect_leaks=0:detect_stack_use_after_return=0",
          },
          globalSetup: ["test/support/compile.ts"],
          testTimeout: 240_000,
          hookTimeout: 1_500_000,
          ...SIDE_BY_SIDE,
        },
      },
      {
        test: {
          name: "attached",
          include: [
            "test/e2e/engine-{calls,cancel,client-gone,phases,public-abi,stream,tls,traces}.test.ts",
            "test/e2e/traps-worker.test.ts",
          ],
          env: { NFFI_TEST_SUITES: "attached" },
          globalSetup: ["test/support/compile.ts"],
          testTimeout: 120_000,
          hookTimeout: 1_500_000,
          ...SIDE_BY_SIDE,
        },
      },
      {
        test: {
          name: "valgrind",
          include: ["test/e2e/engine-calls.test.ts"],
          env: { NFFI_TEST_VALGRIND: "1", NFFI_TEST_SUITES: "trixie" },
          globalSetup: ["test/support/compile.ts"],
          testTimeout: 240_000,
          hookTimeout: 1_500_000,
          ...SIDE_BY_SIDE,
        },
      },
      {
        test: {
          name: "addon",
          include: OF_ADDON,
          testTimeout: 600_000,
          hookTimeout: 600_000,
          ...SIDE_BY_SIDE,
        },
      },
      {
        test: {
          name: "alone",
          include: ALONE,
          globalSetup: ["test/support/compile.ts"],
          testTimeout: 120_000,
          hookTimeout: 1_500_000,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
      {
        // it changes the product that the files of `attached` share
        test: {
          name: "attached-alone",
          include: OF_ATTACHED,
          env: { NFFI_TEST_SUITES: "attached" },
          globalSetup: ["test/support/compile.ts"],
          testTimeout: 120_000,
          hookTimeout: 1_500_000,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
      ...["attached", "openresty-core", ...DEBIANS].map((suite) => ({
        test: {
          name: `full-${suite}`,
          include: ["test/e2e/engine-*.test.ts", "test/e2e/traps-*.test.ts"],
          env: { NFFI_TEST_SUITES: suite },
          globalSetup: ["test/support/compile.ts"],
          testTimeout: 240_000,
          hookTimeout: 1_500_000,
          maxWorkers: 1,
          sequence: { groupOrder: 3 },
        },
      })),
      {
        test: {
          name: "full",
          include: ["test/full/**/*.test.ts"],
          globalSetup: ["test/support/compile.ts"],
          testTimeout: 1_800_000,
          hookTimeout: 1_800_000,
          maxWorkers: 1,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
