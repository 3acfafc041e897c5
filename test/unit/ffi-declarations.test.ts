// Lua declares the functions and structures of the glue as the C headers do: the same fields in the
// same order, the same parameters. A pointer to bytes or to an opaque object may have another type.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";

function textOf(roots: readonly string[], ending: RegExp): string {
  return roots
    .flatMap((root) =>
      readdirSync(join(repository, root), { recursive: true, encoding: "utf8" })
        .filter((name) => ending.test(name))
        .map((name) => readFileSync(join(repository, root, name), "utf8")),
    )
    .join("\n");
}

const headers = textOf(["c-src/ngx", "c-src/lib/host", "c-src/include"], /\.h$/).replace(
  /\/\*[\s\S]*?\*\//g,
  "",
);
const lua = [...textOf(["lua"], /\.lua$/).matchAll(/ffi\.cdef\s*\[\[([\s\S]*?)\]\]/g)]
  .map(([, text]) => text)
  .join("\n");

const macros = new Map(
  [...headers.matchAll(/^#define (\w+)\s+(\d+)\s*$/gm)].map(([, name = "", value = ""]) => [
    name,
    value,
  ]),
);

/** `const u_char *name` and `const char *name` are "* name"; numbers keep their type. */
function normalized(declaration: string): string {
  const [, type = "", pointer = "", name = "", size = ""] =
    /^([\w\s]+?)\s*(\**)\s*(\w+)((?:\[\w+\])?)$/.exec(declaration.replace(/\s+/g, " ").trim()) ??
    [];
  const plain = type.replace("const ", "").replace(/^(u_char|unsigned char|char)$/, "char");
  const known = plain.replace(/^ngx_msec_t$|^ngx_uint_t$/, "uintptr_t").replace(/^int$/, "int32_t");
  const count = size.replace(/\w+/, (text) => macros.get(text) ?? text);
  return pointer === "" ? `${known} ${name}${count}` : `${pointer} ${name}${count}`;
}

function structsIn(text: string): Map<string, string[]> {
  const structs = text.matchAll(/typedef struct (?:\w+ )?\{([^{}]*)\} *(\w+);/g);
  return new Map(
    [...structs].map(([, fields = "", name = ""]) => [
      name,
      fields
        .split(";")
        .filter((one) => one.trim() !== "")
        .map(normalized),
    ]),
  );
}

function functionsIn(text: string): Map<string, string[]> {
  const functions = text.matchAll(
    /^((?:const )?\w+ \*{0,2})(ngx_http_lua_nonblocking_ffi_\w+)\(([^()]*)\);/gm,
  );
  return new Map(
    [...functions].map(([, result = "", name = "", parameters = ""]) => [
      name,
      // the names of parameters do not matter
      [`${result}result`, ...parameters.split(",").filter((one) => one.trim() !== "void")]
        .map(normalized)
        .map((one) => one.replace(/ \w+/, "")),
    ]),
  );
}

const parts = {
  structs: [structsIn(lua), structsIn(headers)],
  functions: [functionsIn(lua), functionsIn(headers)],
} as const;

/** The fields of a structure in C, and of nested structures that Lua does not declare. */
function fieldsIn(name: string): string[] | undefined {
  return parts.structs[1].get(name)?.flatMap((field) => {
    const [type = ""] = field.split(" ");
    return parts.structs[0].has(type) ? [field] : (parts.structs[1].get(type) ?? [field]);
  });
}

/** Lua reads the first fields of it, by a pointer. */
const READ_IN_PART = ["ngx_http_lua_nffi_delivery_t"];

test.each(Object.entries(parts))(
  "%s of the glue are the same in Lua and C",
  (_, [ours, theirs]) => {
    expect(ours.size).toBeGreaterThan(8);
    for (const [name, declared] of ours) {
      const whole = fieldsIn(name) ?? theirs.get(name);
      const expected = READ_IN_PART.includes(name) ? whole?.slice(0, declared.length) : whole;
      expect.soft(declared, name).toEqual(expected);
    }
  },
);
