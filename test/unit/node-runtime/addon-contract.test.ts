// The contract of the addon and the Node runtime: addon.h and addon.c on one side, addon.ts on the
// other. Both have the records in the shared memory and the names of the functions.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { REQUEST, REQUEST_DEADLINE, RESPONSE } from "../../../src/node-runtime/addon.js";
import { repository } from "../../support/cli.js";

const read = (path: string) => readFileSync(join(repository, path), "utf8");
const header = read("c-src/sdk/node/addon.h").replace(/\/\*[\s\S]*?\*\//g, "");
const WORDS: Record<string, number> = { int32_t: 1, uint32_t: 1, double: 2 };

/** The position of each field of a struct, and its size, in words of 32 bits. */
function layoutOf(struct: string): Record<string, number> {
  const body = new RegExp(`struct ${struct} \\{([^}]*)\\}`).exec(header)?.[1] ?? "";
  const fields: Record<string, number> = {};
  let at = 0;
  for (const [, type = "", name = "", count = "1"] of body.matchAll(
    /(\w+) (\w+)(?:\[(\d+)\])?;/g,
  )) {
    const words = WORDS[type] ?? Number.NaN;
    expect(at % words, `${struct}.${name} is not aligned`).toBe(0);
    fields[name] = at;
    at += words * Number(count);
  }
  return { ...fields, words: at };
}

test("a request in the memory has its fields where addon.h puts them", () => {
  const {
    task = -1,
    offset,
    size,
    method_offset,
    method_size,
    deadline = -1,
    words = -1,
  } = layoutOf("addon_request");
  const positions = { offset, size, method: method_offset, methodSize: method_size };
  expect(REQUEST).toEqual({ low: task, high: task + 1, ...positions, words });
  expect(REQUEST_DEADLINE).toEqual({ deadline: deadline / 2, doubles: words / 2 });
});

test("a response in the memory has its fields where addon.h puts them", () => {
  const { task = -1, detail_size, ...rest } = layoutOf("addon_response");
  expect(RESPONSE).toEqual({ low: task, high: task + 1, ...rest, detailSize: detail_size });
});

test("addon.ts declares the functions that the addon exports", () => {
  const exported = read("c-src/sdk/node/addon.c").matchAll(/METHOD\("(\w+)",/g);
  const declared = /interface Addon \{([\s\S]*?)\n\}/.exec(read("src/node-runtime/addon.ts"))?.[1];
  const names = [...(declared ?? "").matchAll(/^ {2}(\w+)\(/gm)].map(([, name]) => name);
  expect(names.sort()).toEqual([...exported].map(([, name]) => name).sort());
});
