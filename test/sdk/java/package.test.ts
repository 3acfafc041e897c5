// The jars for Java as installed in a prefix, with their own tests; two builds of them must have
// the same bytes.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { findJdk, isJdk } from "../../../src/host/jdk.js";
import { repository, runProgram } from "../../support/cli.js";
import { withCompileCache } from "../../support/compile-cache.js";
import { FAST_JAVAC } from "./java-runtime.js";

const sources = join(repository, "c-src/sdk/java/test/nffi/testing");
const folder = join(repository, ".nffi/test/java");

/** The names in the sources, so that one that never ran fails here. */
const names = readdirSync(sources)
  .filter((file) => file.endsWith("Test.java"))
  .flatMap((file) => {
    const text = readFileSync(join(sources, file), "utf8");
    const tests = text.matchAll(/^ {4}public static void (\w+)\(\) throws Exception/gm);
    return [...tests].map((match) => match[1] ?? "");
  });

/** Builds for `prefix` and installs below `stage`. Returns the directory of the jars. */
async function make(name: string, prefix: string, stage = ""): Promise<string> {
  const jdk = await findJdk(process.env);
  if (!isJdk(jdk)) throw new Error(jdk.reason);
  const args = [
    ...["-s", "-C", join(repository, "c-src"), "all", "install", `JAVA_HOME=${jdk.home}`],
    ...[`BUILD_DIR=${folder}/${name}-build`, `PREFIX=${prefix}`, `DESTDIR=${stage}`],
  ];
  const made = await runProgram("make", args, { env: withCompileCache });
  expect(made.stderr).toBe("");
  return join(`${stage}${prefix}`, "nffi/java");
}

let jars: string;

beforeAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  jars = await make("prefix", join(folder, "prefix"));
});

const hashes = (place: string) =>
  readdirSync(place, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => [
      relative(place, file),
      createHash("sha256").update(readFileSync(file)).digest("hex"),
    ]);

test("are the same bytes when they are built again elsewhere", async () => {
  // the jar holds its prefix
  const again = await make("again", join(folder, "prefix"), join(folder, "stage"));
  expect(hashes(again)).toEqual(hashes(jars));
  expect(readdirSync(jars)).toEqual(["maven", "nffi-testing.jar", "nffi.jar"]);
});

describe("their own tests, with every check of JNI", () => {
  let output = "";

  beforeAll(async () => {
    const path = `${jars}/nffi.jar:${jars}/nffi-testing.jar`;
    const classes = join(folder, "classes");
    const files = readdirSync(sources).map((name) => join(sources, name));
    const lint = ["-Xlint:all", "-Werror"];
    execFileSync("javac", [...FAST_JAVAC, ...lint, "-cp", path, "-d", classes, ...files]);
    const tests = readdirSync(sources).filter((name) => name.endsWith("Test.java"));
    const ran = await runProgram("java", [
      ...["-Xmx256m", "-Xcheck:jni", "-cp", `${path}:${classes}`, "nffi.testing.Checks"],
      ...tests.map((name) => `nffi.testing.${name.replace(".java", "")}`),
    ]);
    output = ran.stdout + ran.stderr;
  });

  test.each(names)("%s", (name) => {
    expect(output.split("\n"), output).toContain(`ok ${name}`);
  });

  test("break no rule of JNI", () => {
    expect(output).not.toMatch(/FATAL ERROR in native method|WARNING in native method/);
  });
});
