import { expect, test } from "vitest";
import { currentPlatform, type Platform, requireSupported } from "../../../src/host/platform.js";

const good: Platform = {
  os: "linux",
  arch: "x64",
  glibc: "2.36",
  kernel: "6.1.0-9-amd64",
  cpus: 2,
};

test("supports the machine that runs the tests", () => {
  requireSupported(currentPlatform());
});

test.each([
  ["another system", { os: "darwin" }, /the system is darwin/],
  ["another processor", { arch: "riscv64" }, /the processor is riscv64/],
  ["musl", { glibc: undefined }, /not glibc/],
  ["an old kernel", { kernel: "5.3.18" }, /the kernel is 5.3.18/],
  ["a very old kernel", { kernel: "4.19.0" }, /the kernel is 4.19.0/],
])("refuses %s with its reason", (_name, other, message) => {
  expect(() => requireSupported({ ...good, ...other })).toThrow(message);
});

test.each(["5.4.0", "5.10.0-28-arm64", "6.1", "10.0.1"])("supports kernel %s", (kernel) => {
  requireSupported({ ...good, kernel });
});
