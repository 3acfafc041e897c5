// addon.h and src/node-runtime/addon.ts describe the same memory and the same functions: what a C
// compiler says of the one is compared with the other.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  CANCELLED,
  REQUEST,
  REQUEST_DEADLINE,
  RESPONSE,
  WOULD_BLOCK,
} from "../../../../src/node-runtime/addon.js";
import { repository } from "../../../support/cli.js";

const nodeApi: string = createRequire(import.meta.url)("node-api-headers").include_dir;
const read = (path: string) => readFileSync(join(repository, path), "utf8");

/** In the units of addon.ts: 32-bit words, and doubles for the deadline. */
const EXPRESSIONS = {
  "REQUEST.low": "offsetof(addon_request_t, task[0]) / 4.0",
  "REQUEST.high": "offsetof(addon_request_t, task[1]) / 4.0",
  "REQUEST.offset": "offsetof(addon_request_t, offset) / 4.0",
  "REQUEST.size": "offsetof(addon_request_t, size) / 4.0",
  "REQUEST.method": "offsetof(addon_request_t, method_offset) / 4.0",
  "REQUEST.methodSize": "offsetof(addon_request_t, method_size) / 4.0",
  "REQUEST.words": "sizeof(addon_request_t) / 4.0",
  "REQUEST_DEADLINE.deadline": "offsetof(addon_request_t, deadline) / 8.0",
  "REQUEST_DEADLINE.doubles": "sizeof(addon_request_t) / 8.0",
  "RESPONSE.low": "offsetof(addon_response_t, task[0]) / 4.0",
  "RESPONSE.high": "offsetof(addon_response_t, task[1]) / 4.0",
  "RESPONSE.offset": "offsetof(addon_response_t, offset) / 4.0",
  "RESPONSE.size": "offsetof(addon_response_t, size) / 4.0",
  "RESPONSE.detailSize": "offsetof(addon_response_t, detail_size) / 4.0",
  "RESPONSE.failed": "offsetof(addon_response_t, failed) / 4.0",
  "RESPONSE.rc": "offsetof(addon_response_t, rc) / 4.0",
  "RESPONSE.words": "sizeof(addon_response_t) / 4.0",
  WOULD_BLOCK: "NFFI_WOULD_BLOCK",
  CANCELLED: "NFFI_CANCELLED",
};

function valuesInC(): Record<string, number> {
  const folder = mkdtempSync(join(tmpdir(), "nffi-contract-"));
  try {
    const prints = Object.values(EXPRESSIONS).map((one) => `printf("%g\\n", (double) (${one}));`);
    const code = `#include <stdio.h>\n#include "addon.h"\nint main(void) { ${prints.join("\n")} }\n`;
    writeFileSync(join(folder, "contract.c"), code);
    const include = ["c-src/include", "c-src/sdk/node"].map((name) => join(repository, name));
    const flags = [...include, nodeApi].map((name) => `-I${name}`);
    execFileSync(process.env.CC ?? "cc", [...flags, "-o", "contract", "contract.c"], {
      cwd: folder,
    });
    const lines = execFileSync(join(folder, "contract"), { encoding: "utf8" }).trim().split("\n");
    return Object.fromEntries(
      Object.keys(EXPRESSIONS).map((name, at) => [name, Number(lines[at])]),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("structures and codes of addon.ts are those of addon.h", () => {
  const tables = { REQUEST, REQUEST_DEADLINE, RESPONSE };
  const fields = Object.entries(tables).flatMap(([table, values]) =>
    Object.entries(values).map(([field, value]) => [`${table}.${field}`, value]),
  );
  const ours = { ...Object.fromEntries(fields), WOULD_BLOCK, CANCELLED };
  expect(ours).toEqual(valuesInC());
});

/** The names in an interface of addon.ts. */
function membersOf(name: string): string[] {
  const body = new RegExp(`export interface ${name} \\{\\n(.*?)\\n\\}`, "s").exec(
    read("src/node-runtime/addon.ts"),
  )?.[1];
  return [...(body ?? "").matchAll(/^ {2}(?:readonly )?(\w+)[(:]/gm)].map(([, one = ""]) => one);
}

const sourceOf = read("c-src/sdk/node/addon.c");
const named = (pattern: RegExp) => [...sourceOf.matchAll(pattern)].map(([, name = ""]) => name);

test.each([
  ["Addon", /METHOD\("(\w+)"/g, []],
  ["Offsets", /set_offset\(env, object, "(\w+)"/g, ["memory"]],
  ["QueueEvents", /reference_function\(env, \w+(?:\[\d\])?, "(\w+)"/g, []],
] as const)("what addon.c makes for %s has the same names", (name, pattern, others) => {
  const members = membersOf(name);
  expect(members.length).toBeGreaterThan(3);
  expect([...named(pattern), ...others].sort()).toEqual(members.sort());
});
