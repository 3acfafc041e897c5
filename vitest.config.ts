import { defineConfig } from "vitest/config";

// lint: formatter, linter and types; unit: our TypeScript alone; c: the C library and the addon through make and node;
// e2e: the real CLI and a real nginx (built once for each suite, see test/support/openresty.ts).
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "lint",
          include: ["test/lint/**/*.test.ts"],
          testTimeout: 120_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/model/**/*.test.ts"],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "c",
          include: ["test/c/**/*.test.ts", "test/addon/**/*.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 600_000,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts", "test/templates/**/*.test.ts"],
          globalSetup: ["test/support/compile.ts"],
          testTimeout: 120_000,
          hookTimeout: 1_500_000,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
