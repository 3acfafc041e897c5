import { describe, expect, it } from "vitest";
import {
  compareDebianVersions,
  upstreamVersion,
} from "../../../../src/sources/debian/package-version.js";

describe("compareDebianVersions", () => {
  it.each([
    ["1.26.3-3+deb13u11", "1.26.3-3+deb13u7"],
    ["1.26.3-3+deb13u7", "1.26.3-3"],
    ["1:0.10.28-2", "9.9-1"],
    ["1.0-1", "1.0~rc1-1"],
    ["1.0-1", "1.0-1~bpo12+1"],
    ["2.1.0+openresty20250117-2", "2.1.0~beta3+git20220320+dfsg-4.1"],
    ["1.10", "1.9"],
    ["1.0+a", "1.0a"],
  ])("finds %s newer than %s", (newer, older) => {
    expect(compareDebianVersions(newer, older)).toBeGreaterThan(0);
    expect(compareDebianVersions(older, newer)).toBeLessThan(0);
  });

  it("finds versions equal that differ only in leading zeros", () => {
    expect(compareDebianVersions("1.02-1", "1.2-1")).toBe(0);
  });
});

describe("upstreamVersion", () => {
  it.each([
    ["1.26.3-3+deb13u7", "1.26.3"],
    ["1:0.10.23-1+deb12u1", "0.10.23"],
    ["2.1.0+dfsg-2.2", "2.1.0"],
    ["2.1-20230119-1", "2.1-20230119"],
    ["2.1.0+openresty20250117-2", "2.1-20250117"],
  ])("reads %s as %s", (version, upstream) => {
    expect(upstreamVersion(version)).toBe(upstream);
  });
});
