/** `nffi bench`: what a call costs on this machine, by each way that a user could choose. */
import { mkdtemp, readFile, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { compareAll } from "../bench/comparison.js";
import { measureAll, type Plan } from "../bench/measure.js";
import { reportHtml } from "../bench/report-html.js";
import { LANGUAGES_COMPARED } from "../bench/subjects.js";
import { NffiError } from "../errors.js";
import { shipped } from "../host/package.js";
import { kindOf, writeFileWhole } from "../io/files.js";
import { findProduct } from "../pipeline/product.js";
import { benchLines } from "../ui/bench-table.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { productWishOf } from "./settings.js";

interface BenchOptions {
  lang?: string[];
  sizes: string;
  together: string;
  cpus: string;
  rounds: string;
  ms: string;
  json?: string | true;
  html?: string;
  against?: string;
  restyFfi?: string;
  restyFfiNginx?: string;
}

export function benchCommand(context: CommandContext): Command {
  return declared("bench")
    .argument("[prefix]", "the product to measure (default: found as by `nffi info`)")
    .option("--lang <names...>", `only these: ${LANGUAGES_COMPARED.join(", ")}`)
    .option("--against <prefix>", "another product, measured in the same run")
    .option("--resty-ffi <dir>", "where lua-resty-ffi is (default: the usual Lua directories)")
    .option("--resty-ffi-nginx <path>", "the nginx that it was compiled for")
    .option("--sizes <bytes>", "payloads, such as 512,100k", "512,100k")
    .option("--together <calls>", "calls in flight, such as 1,64", "1,64")
    .option("--cpus <cpus>", "one: all processes share one CPU; all; or both", "one,all")
    .option("--rounds <number>", "how often each is measured; the medians count", "5")
    .option("--ms <number>", "how long each measurement takes", "200")
    .option("--json [file]", "write the report as JSON, without FILE to stdout")
    .option("--html <file>", "write the report as one HTML file")
    .action(async (prefix: string | undefined, options: BenchOptions) => {
      const plan = planOf(options);
      const wanted = wantedOf(options);
      await requireReportFiles(options, context.cwd);
      const { env, cwd, signal } = context;
      const product = await findProduct(await productWishOf(prefix, context));
      const against = options.against && (await findProduct({ prefix: options.against, env, cwd }));
      const folder = await realpath(await mkdtemp(join(tmpdir(), "nffi-bench-")));
      const surroundings = { sources: shipped.bench, folder, env, signal };
      try {
        const comparison = await compareAll(
          {
            ...{ product, against: against || undefined, wanted },
            restyFfi: { folder: options.restyFfi, nginx: options.restyFfiNginx, cwd },
          },
          surroundings,
        );
        const log = options.json === true ? () => {} : context.print;
        const measurement = { ...plan, ...surroundings, log };
        await report(await measureAll(measurement, comparison), options, context);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
}

/** Before it measures: a report replaces nothing but an earlier one. */
async function requireReportFiles({ json, html }: BenchOptions, cwd: string): Promise<void> {
  const files = { "--json": typeof json === "string" ? json : undefined, "--html": html };
  for (const [option, file] of Object.entries(files)) {
    if (file === undefined || (await mayReplace(resolve(cwd, file)))) continue;
    throw new NffiError(
      "foreign-files",
      `${option} ${file} exists and is no report of nffi bench`,
      {
        hint:
          option === "--json"
            ? "name another file, or a product before the option: `nffi bench PREFIX --json`"
            : "name another file",
      },
    );
  }
}

async function mayReplace(file: string): Promise<boolean> {
  const kind = await kindOf(file);
  if (kind !== "file") return kind === "absent";
  const text = await readFile(file, "utf8");
  return text.trim() === "" || text.includes("<title>nffi bench</title>") || isReport(text);
}

function isReport(text: string): boolean {
  try {
    const { format, product, settings } = JSON.parse(text);
    return format === 1 && typeof product === "string" && Array.isArray(settings);
  } catch {
    return false;
  }
}

async function report(
  measured: Awaited<ReturnType<typeof measureAll>>,
  { json, html }: BenchOptions,
  { print, cwd }: CommandContext,
): Promise<void> {
  const text = JSON.stringify(measured, null, 2);
  if (html !== undefined) await writeFileWhole(resolve(cwd, html), reportHtml(measured));
  if (typeof json === "string") await writeFileWhole(resolve(cwd, json), `${text}\n`);
  if (json === true) print(text);
  else for (const line of benchLines(measured)) print(line);
}

function wantedOf({ lang = [] }: BenchOptions): string[] {
  for (const name of lang) {
    if (LANGUAGES_COMPARED.includes(name)) continue;
    throw new NffiError("usage", `--lang ${name}: no such language`, {
      hint: `known ones: ${LANGUAGES_COMPARED.join(", ")}`,
    });
  }
  return lang;
}

const MAX_SIZE = 16 << 20;

function planOf({ sizes, together, cpus, rounds, ms }: BenchOptions): Plan {
  return {
    sizes: listOf(
      "--sizes",
      sizes,
      (one) => sizeOf(one),
      `1 to ${MAX_SIZE} bytes, such as 512 or 100k`,
    ),
    together: listOf("--together", together, (one) => wholeNumber(one, 1024), "1 to 1024"),
    cpus: listOf("--cpus", cpus, cpusOf, "one, all or one,all"),
    rounds: listOf("--rounds", rounds, (one) => wholeNumber(one, 1000), "1 to 1000")[0] ?? 1,
    ms: listOf("--ms", ms, (one) => wholeNumber(one, 60_000), "1 to 60000 milliseconds")[0] ?? 1,
  };
}

function listOf<T>(
  option: string,
  text: string,
  parse: (one: string) => T | undefined,
  expected: string,
): T[] {
  return text.split(",").map((one) => {
    const value = parse(one.trim());
    if (value !== undefined) return value;
    throw new NffiError("usage", `${option} ${text}: "${one}" is not what it takes`, {
      hint: `expected ${expected}`,
    });
  });
}

function cpusOf(text: string): "one" | "all" | undefined {
  return text === "one" || text === "all" ? text : undefined;
}

function wholeNumber(text: string, max: number): number | undefined {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  return number >= 1 && number <= max ? number : undefined;
}

function sizeOf(text: string): number | undefined {
  const [, digits = "", unit = ""] = /^(\d{1,9})([km]?)$/i.exec(text) ?? [];
  const factor = { "": 1, k: 1 << 10, m: 1 << 20 }[unit.toLowerCase()] ?? 1;
  return wholeNumber(digits, MAX_SIZE / factor) && Number(digits) * factor;
}
