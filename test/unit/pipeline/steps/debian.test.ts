// --require-security-patches: what is refused, and what the message names.
import { expect, test } from "vitest";
import { EXIT_CODES, toNffiError } from "../../../../src/errors.js";
import { requireSecurityPatches } from "../../../../src/pipeline/steps/debian.js";
import type { DebianNote } from "../../../../src/sources/debian/notes.js";

const nginx: DebianNote = { kind: "series-missing", component: "nginx", text: "nginx: no patches" };
const noSuite: DebianNote = { kind: "no-security-suite", text: "no security archive is named" };
const leftOut: DebianNote = { kind: "extra-missing", component: "echo", text: "left out" };

function refusalOf(...notes: DebianNote[]) {
  try {
    requireSecurityPatches(notes);
    return undefined;
  } catch (thrown) {
    return toNffiError(thrown);
  }
}

test("names the components whose patches are missing, and the causes", () => {
  const refusal = refusalOf(leftOut, nginx);
  expect(refusal?.exitCode).toBe(21);
  expect(EXIT_CODES["patches-missing"]).toBe(21);
  expect(refusal?.message).toBe("security patches of Debian are missing: nginx");
  expect(refusal?.hint).toContain("nginx: no patches\n");
  expect(refusal?.hint).toContain("--source official");
});

test("a machine without the security archive lacks the patches of every component", () => {
  expect(refusalOf(noSuite)?.message).toContain("every component");
});

test("a component that is left out lacks no patch", () => {
  expect(refusalOf(leftOut)).toBeUndefined();
  expect(refusalOf()).toBeUndefined();
});
