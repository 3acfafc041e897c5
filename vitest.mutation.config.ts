import { defineConfig } from "vitest/config";

// The tests that StrykerJS runs against each mutant: those of our TypeScript alone, in a copy of
// the repository. What looks at the repository itself (lock file, documents) finds no mutant.
export default defineConfig({
  test: {
    include: ["test/unit/**/*.test.ts"],
    exclude: [
      "test/unit/{architecture,documentation,ffi-declarations,import-cycles}.test.ts",
      "test/unit/{lock-file,package,sizes,traps}.test.ts",
    ],
    testTimeout: 20_000,
  },
});
