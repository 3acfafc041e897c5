import { expect, test } from "vitest";
import { currentFamily, familyOf, installHint } from "../../../src/host/distribution.js";

test.each([
  ['ID=debian\nVERSION_ID="13"\n', "debian"],
  ['NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n', "debian"],
  ['ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"],
  ['ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "suse"],
  ["ID=plan9\n", undefined],
])("%j is of the family %s", (text, family) => {
  expect(familyOf(text)).toBe(family);
});

test("a machine without os-release is of no family", () => {
  expect(currentFamily("/no/such/file")).toBeUndefined();
});

test("packages are named as the distribution has them", () => {
  expect(installHint(["libssl-dev", "make"], { ...ROOT, family: "fedora" })).toBe(
    "dnf install openssl-devel make",
  );
  expect(installHint(["libssl-dev"], ROOT)).toBe(
    "apt-get install --no-install-recommends libssl-dev",
  );
  expect(installHint(["libssl-dev"], { ...ROOT, family: undefined })).toBe(
    "on Debian: apt-get install libssl-dev",
  );
});

const ROOT = { family: "debian", isRoot: true, hasSudo: false, hasLists: true } as const;

test.each([
  ["root", {}, "apt-get install --no-install-recommends make"],
  ["root with sudo", { hasSudo: true }, "apt-get install --no-install-recommends make"],
  ["a user with sudo", { isRoot: false, hasSudo: true }, /^sudo apt-get install \S+ make$/],
  ["a user without sudo", { isRoot: false }, /^as root: apt-get install \S+ make$/],
  ["a new container", { hasLists: false }, /^apt-get update && apt-get install \S+ make$/],
  [
    "a user of a new machine",
    { isRoot: false, hasSudo: true, hasLists: false },
    /^sudo apt-get update && sudo apt-get install \S+ make$/,
  ],
])("the command is one that %s can run", (_who, installer, command) => {
  expect(installHint(["make"], { ...ROOT, ...installer })).toMatch(command);
});
