// Runs a program of the release; its output is shown only if it fails.
import { spawnSync } from "node:child_process";

export function run(program, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    maxBuffer: 1 << 28,
    ...options,
  });
  if (status === 0) return stdout;
  const output = `${stdout ?? ""}${stderr ?? ""}`.trim().split("\n").slice(-40).join("\n");
  throw new Error(
    `${program} ${args[0]} failed: ${error?.message ?? `exit code ${status}`}\n${output}`,
  );
}
