// No call cycles among nffi's C files below the glue, according to the symbols of the object files.
// test/e2e/glue.test.ts checks the glue, because that requires a configured nginx.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { findJdk, isJdk } from "../../src/host/jdk.js";
import { callsBetweenObjects } from "../support/c-objects.js";
import { repository, runProgram } from "../support/cli.js";
import { cycleIn } from "../support/cycles.js";

const nodeApi: string = createRequire(import.meta.url)("node-api-headers").include_dir;
const jdk = await findJdk(process.env);
const java = isJdk(jdk) ? [`${jdk.home}/include`, `${jdk.home}/include/linux`] : [];

/** Directories of C files that are linked together. Only the addon and Java need other headers. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  libnffi: ["lib"],
  supervisor: ["supervisor", "lib/shared", "lib/host"],
  addon: ["sdk/node"],
  "bridge to Python": ["sdk/python/bridge", "sdk/shared"],
  ...(isJdk(jdk) ? { "bridge to Java": ["sdk/java/bridge", "sdk/shared"] } : {}),
};

let calls = new Map<string, string[]>();

beforeAll(async () => {
  const objects = mkdtempSync(join(tmpdir(), "nffi-objects-"));
  try {
    const folders = [...new Set(Object.values(PARTS).flat())];
    const sources = [...new Set(folders.flatMap(filesBelow))];
    await Promise.all(sources.map((source) => compile(source, objects)));
    calls = callsBetweenObjects(objects);
  } finally {
    rmSync(objects, { recursive: true, force: true });
  }
}, 120_000);

function filesBelow(folder: string): string[] {
  return readdirSync(join(repository, "c-src", folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".c") && !name.startsWith("test/"))
    .map((name) => join(folder, name));
}

async function compile(source: string, objects: string): Promise<void> {
  const object = join(objects, source.replace(/\.c$/, ".o"));
  mkdirSync(dirname(object), { recursive: true });
  const folders = ["include", "lib"].map((name) => join(repository, "c-src", name));
  const compiled = await runProgram(process.env.CC ?? "cc", [
    ...["-std=gnu11", "-O0", "-D_GNU_SOURCE=", "-DNAPI_VERSION=8", '-DNFFI_JAVA_HOME=""'],
    ...[...folders, nodeApi, ...java].map((folder) => `-I${folder}`),
    ...["-c", "-o", object, join(repository, "c-src", source)],
  ]);
  expect(compiled.stderr).toBe("");
}

/** The calls between the objects of these directories alone. */
function callsIn(folders: readonly string[]): Map<string, string[]> {
  const isIn = (path: string) => folders.some((folder) => path.startsWith(`${folder}/`));
  const own = [...calls].filter(([object]) => isIn(object));
  return new Map(own.map(([object, callees]) => [object, callees.filter(isIn)]));
}

test.each(Object.entries(PARTS))("%s has no cycle", (_, folders) => {
  const graph = callsIn(folders);
  expect([...graph.values()].flat().length).toBeGreaterThan(0);
  expect(cycleIn(graph)).toEqual([]);
});

test("the rooms of libnffi call one way: host, runtime, shared", () => {
  const ROOMS = ["shared", "runtime", "host"];
  const height = (object: string) => ROOMS.indexOf(relative("lib", object).split("/")[0] ?? "");
  const upward = [...callsIn(["lib"])].flatMap(([object, callees]) =>
    callees.filter((callee) => height(callee) > height(object)).map((one) => `${object} -> ${one}`),
  );
  expect(upward).toEqual([]);
});
