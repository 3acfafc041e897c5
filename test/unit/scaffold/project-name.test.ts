import { expect, test } from "vitest";
import { findLanguage, LANGUAGES } from "../../../src/catalog/languages.js";
import { NffiError } from "../../../src/errors.js";
import { requireNameFor, requireProjectName } from "../../../src/scaffold/project-name.js";

function refusalOf(name: string): NffiError {
  try {
    requireProjectName(name);
  } catch (thrown) {
    if (thrown instanceof NffiError) return thrown;
  }
  throw new Error(`${JSON.stringify(name)} was not refused with an NffiError`);
}

test.each(["hello", "a", "my-runtime", "v2.runtime_x", "0"])("takes %j", (name) => {
  expect(() => requireProjectName(name)).not.toThrow();
});

test.each([
  ["", "it is empty"],
  ["a/b", "it is a path"],
  ["../up", "it is a path"],
  ["Hello", "npm allows no capitals"],
  [".hidden", "it begins with neither a letter nor a digit"],
  ["-yes", "it begins with neither a letter nor a digit"],
  ["two words", 'it holds " "'],
  ["grüße", 'it holds "ü"'],
  ["node_modules", "that name is reserved"],
  ["a".repeat(215), "it is longer than 214 characters"],
])("refuses %j and says why", (name, reason) => {
  const error = refusalOf(name);
  expect(error.code).toBe("usage");
  expect(error.message).toContain(reason);
});

test("suggests a name where one is close", () => {
  expect(refusalOf("My Runtime!").hint).toContain('"my-runtime"');
});

test("a language may allow less: cargo takes no dot, no digit first, no crate in use", () => {
  const rust = findLanguage("rust") ?? LANGUAGES[0];
  for (const name of ["my-runtime", "a_b2", "tokio-runtime"]) requireNameFor(rust, name);
  for (const name of ["v2.x", "2nd", "tokio", "runtime", "a"]) {
    const check = () => requireNameFor(rust, name);
    if (name === "a") expect(check).not.toThrow();
    else expect(check).toThrow(`"${name}" cannot be the name of a runtime in Rust`);
  }
  requireNameFor(LANGUAGES[0], "v2.x");
});

test("a package of Python hides no module, and begins with a letter", () => {
  const python = findLanguage("python") ?? LANGUAGES[0];
  for (const name of ["my-runtime", "v2.x", "jsonify"]) requireNameFor(python, name);
  for (const name of ["json", "asyncio", "class", "nffi", "2nd"]) {
    expect(() => requireNameFor(python, name)).toThrow("cannot be the name of a runtime in Python");
  }
});
