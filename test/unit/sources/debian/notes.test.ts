// However much the archive lacks, it is one warning; what it sums up is not lost.
import { expect, test } from "vitest";
import {
  type DebianNote,
  securityGapsOf,
  warningsOf,
} from "../../../../src/sources/debian/notes.js";

const series = (component: string): DebianNote => ({
  kind: "series-missing",
  component,
  text: `${component}: no patches`,
});
const left: DebianNote = { kind: "extra-missing", component: "echo", text: "echo: left out" };
const stale: DebianNote = { kind: "index-stale", text: "the index is old" };

test("sums up what the archive lacks, by kind", () => {
  const notes = [stale, series("nginx"), left, series("LuaJIT")];
  const [index, archive, ...others] = warningsOf(notes, "trixie");
  expect(index).toEqual({ text: "the index is old", details: [] });
  expect(archive?.text).toContain("the archive of trixie does not have all of 3 packages");
  expect(archive?.text).toContain(
    "without Debian's security patches: nginx, LuaJIT; left out: echo",
  );
  expect(archive?.details).toEqual(["nginx: no patches", "echo: left out", "LuaJIT: no patches"]);
  expect(others).toEqual([]);
});

test("a single one is reported unchanged", () => {
  expect(warningsOf([left], "trixie")).toEqual([{ text: "echo: left out", details: [] }]);
  expect(warningsOf([], "trixie")).toEqual([]);
});

test("security fixes may be missing where Debian's patches or its security suite are", () => {
  const older: DebianNote = { kind: "older-revision", component: "LuaJIT", text: "an older one" };
  const noSuite: DebianNote = { kind: "no-security-suite", text: "no security archive" };
  expect(securityGapsOf([stale, series("nginx"), left, older, noSuite])).toEqual([
    { component: "nginx", text: "nginx: no patches" },
    { component: "LuaJIT", text: "an older one" },
    { component: undefined, text: "no security archive" },
  ]);
  expect(securityGapsOf([stale, left])).toEqual([]);
});
