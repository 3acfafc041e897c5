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
  expect(installHint(["libssl-dev", "make"], "fedora")).toBe("dnf install openssl-devel make");
  expect(installHint(["libssl-dev"], "debian")).toBe("on Debian: apt-get install libssl-dev");
  expect(installHint(["libssl-dev"], undefined)).toBe("on Debian: apt-get install libssl-dev");
});
