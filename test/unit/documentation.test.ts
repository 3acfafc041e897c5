// The documents list exactly what the sources have: options, exit codes, error codes, links.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { EXIT_CODES } from "../../src/errors.js";
import { repository } from "../support/cli.js";
import { filesBelow } from "../support/prose.js";

const DOCUMENTS = readdirSync(repository, { withFileTypes: true })
  .filter((entry) => entry.name.endsWith(".md") || /^(?:docs|examples|templates)$/.test(entry.name))
  .flatMap((entry) => filesBelow(repository, entry.name))
  .filter((path) => path.endsWith(".md"));

function read(path: string): string {
  return readFileSync(join(repository, path), "utf8");
}

function withoutCode(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```$/gm, "").replace(/`[^`\n]*`/g, "");
}

function namesIn(folder: string, names: RegExp): string[] {
  return readdirSync(join(repository, folder)).filter((name) => names.test(name));
}

function found(text: string, pattern: RegExp): string[] {
  const names = [...text.matchAll(pattern)].map((match) => match[1] ?? "");
  return [...new Set(names)].sort();
}

const LUA = [
  "nffi.lua",
  ...namesIn("lua/resty/nffi", /\.lua$/).map((name) => `nffi/${name}`),
  "core/nonblocking_ffi.lua",
]
  .map((name) => read(`lua/resty/${name}`))
  .join("\n");

const GLUE = namesIn("c-src/ngx", /\.c$/)
  .map((name) => read(`c-src/ngx/${name}`))
  .join("\n");

describe("docs/cli.md", () => {
  const manual = read("docs/cli.md");

  test.each([
    ["build", ["source-options.ts", "build-options.ts"]],
    ["attach", ["attach.ts"]],
  ])("lists the options of nffi %s", (command, files) => {
    const section = manual.split(`\n## nffi ${command}\n`)[1]?.split("\n## ")[0] ?? "";
    const source = files.map((file) => read(`src/commands/${file}`)).join("");
    expect(found(section, /^\| `(--[a-z0-9-]+)/gm)).toEqual(
      found(source, /[oO]ption\(\s*"(--[a-z0-9-]+)/g),
    );
  });

  test("lists the exit codes", () => {
    const rows = [...manual.matchAll(/^\| (\d[\d, ]*?) +\|/gm)].flatMap(([, codes = ""]) =>
      codes.split(", ").map(Number),
    );
    expect(rows).toEqual([0, ...Object.values(EXIT_CODES)]);
  });
});

describe("docs/lua.md", () => {
  const manual = read("docs/lua.md");

  test("lists the error codes", () => {
    const listed = found(manual.split("## Errors")[1] ?? "", /^\| `([a-z_]+)`/gm);
    const together = [...manual.matchAll(/^\| (`[a-z_]+`, `[a-z_]+`) \|/gm)].flatMap(([, pair]) =>
      found(pair ?? "", /`([a-z_]+)`/g),
    );
    const documented = new Set([...listed, ...together]);
    for (const code of documented) expect(GLUE + LUA).toContain(`"${code}"`);

    const given = [
      ...found(GLUE, /nffi_fail\([^;]*?,\s*"([a-z_]+)",/g),
      ...found(GLUE, /nffi_fail_calls\([^;]*?"([a-z_]+)"/g),
      ...found(GLUE, /code = "([a-z_]+)"/g),
      ...found(LUA, /^\s+(?:return nil, .*)?"([a-z]+_[a-z]+)"$/gm),
    ];
    expect(given).toContain("runtime_down");
    expect(given.filter((code) => !documented.has(code))).toEqual([]);
  });

  test("lists the options", () => {
    const options = found(LUA, /\boptions\.([a-z_]+)/g);
    expect(options).toContain("module");
    for (const option of options) expect(manual).toContain(`\`${option}\``);
    for (const option of found(LUA, /count\(options, "([a-z_]+)"/g)) {
      expect(manual).toContain(`\`${option}\``);
    }
  });
});

test("docs/c-abi.md or nffi.h's comments describe every function", () => {
  const manual = read("docs/c-abi.md");
  const header = read("c-src/include/nffi.h");
  const functions = found(header, /^NFFI_API [^;(]*?\b(nffi_[a-z_]+)\(/gm);
  expect(functions).toContain("nffi_queue_poll");
  const untold = functions.filter((name) => !manual.includes(name));
  // The header says all there is to say of these.
  expect(untold).toEqual([
    "nffi_abi_version",
    "nffi_error_name",
    "nffi_error_text",
    "nffi_response_discard",
    "nffi_task_request",
  ]);
});

test("docs/reliability.md names a test for each fault, which exists under its title", () => {
  const rows = read("docs/reliability.md")
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| fault "));
  expect(rows.length).toBeGreaterThan(30);
  for (const row of rows) {
    const [, title, file] =
      /\| \[([^\]]+)\]\(\.\.\/((?:c-src\/)?test\/[^)]+)\) \|$/.exec(row) ?? [];
    expect(title, `no test in ${row}`).toBeDefined();
    // the tests of engine-errors have the codes as titles, which are keys there
    const source = read(file ?? "");
    const isThere = source.includes(`"${title}"`) || source.includes(`\n  ${title}: `);
    expect(isThere, `no test "${title}" in ${file}`).toBe(true);
  }
});

test("each decision record has a number of one record only, as its title says", () => {
  const names = namesIn("docs/decisions", /\.md$/).sort();
  const numbers = names.map((name) => Number(name.slice(0, 4)));
  expect(numbers).toEqual(names.map((_, index) => index + 1));
  const titles = names.map((name) => /^# (\d+)\. /.exec(read(`docs/decisions/${name}`))?.[1]);
  expect(titles.map(Number)).toEqual(numbers);
});

test.each(DOCUMENTS)("the links of %s lead somewhere", (path) => {
  const targets = found(withoutCode(read(path)), /\]\(([^)#]+)[^)]*\)/g).filter(
    (one) => !/^https?:/.test(one),
  );
  const dead = targets.filter((one) => !existsSync(join(repository, dirname(path), one)));
  expect(dead).toEqual([]);
});

/** The anchors of the headings of a document, as GitHub makes them. */
function anchorsIn(path: string): string[] {
  const text = read(path).replace(/^```[\s\S]*?^```$/gm, "");
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_\- ]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("each link to a section finds its heading", () => {
  const links = DOCUMENTS.flatMap((path) =>
    [...withoutCode(read(path)).matchAll(/\]\(([^)#\s:]*\.md|)#([^)]+)\)/g)].map(
      ([, file = "", anchor = ""]) =>
        [path, file ? join(dirname(path), file) : path, anchor] as const,
    ),
  );
  expect(links.length).toBeGreaterThan(50);
  const dead = links.filter(([, file, anchor]) => !anchorsIn(file).includes(anchor));
  expect(dead).toEqual([]);
});

test("README.md has at most 1,300 words beside its code and its picture", () => {
  const words = withoutCode(read("README.md")).match(/[\p{L}\p{N}][^\s|]*/gu) ?? [];
  expect(words.length).toBeGreaterThan(500);
  expect(words.length).toBeLessThanOrEqual(1_300);
});

test("each vitest command of CONTRIBUTING.md finds test files", () => {
  const files = readdirSync(join(repository, "test"), { recursive: true, encoding: "utf8" });
  const commands = found(read("CONTRIBUTING.md"), /npx vitest run ([^`#\n]+)/g);
  expect(commands.length).toBeGreaterThan(8);
  for (const command of commands) {
    const filters = command
      .replace(/--project \S+/g, "")
      .trim()
      .split(/\s+/);
    for (const filter of filters) {
      const isThere = files.some(
        (file) => file.endsWith(".test.ts") && `test/${file}`.includes(filter),
      );
      expect(isThere, `npx vitest run ${command}: no test file for ${filter}`).toBe(true);
    }
  }
});

test("the figures in README.md and docs/performance.md are those of docs/bench.json", () => {
  const script = join(repository, "scripts/figures.mjs");
  const checked = spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" });
  expect(checked.stderr).toBe("");
  expect(checked.status).toBe(0);
});
