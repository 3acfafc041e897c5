// cargo for the tests: compiled crates are shared in the repository's directory of tests.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { repository } from "../../support/cli.js";

/** 63 of "rustc 1.63.0". */
export const rustMinor = Number(
  /^rustc 1\.(\d+)/.exec(execFileSync("rustc", ["--version"], { encoding: "utf8" }))?.[1],
);

/** Settings for cargo and rustc. Without debug symbols, a build takes half of the time. */
export const cargoEnv = {
  CARGO_TARGET_DIR: join(repository, ".nffi/test/rust-target"),
  CARGO_INCREMENTAL: "0",
  CARGO_PROFILE_DEV_DEBUG: "0",
  CARGO_TERM_COLOR: "never",
  NFFI_PREFIX: "",
  RUST_BACKTRACE: "0",
};
