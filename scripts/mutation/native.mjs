// Mutants of C and Lua: one condition at a time is negated, or removed so that its branch is never
// taken. They are tried in a copy of the repository; the library against the C tests, nginx's part
// and Lua against one file of the e2e tests.
import { execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, relative, resolve } from "node:path";
import { Score, shuffled } from "./sample.mjs";

const TREE = ".nffi/mutation/tree";
const PATIENCE_MS = 300_000;

export async function mutateNative(files, { seed, max, minutes, e2e, log }) {
  const mutants = shuffled(files.flatMap(mutantsIn), seed).slice(0, max);
  log(`C and Lua: ${mutants.length} mutants in ${files.length} files`);
  if (mutants.length === 0) return;
  copyRepository();
  const deadline = Date.now() + minutes * 60_000;
  for (const tests of new Set(mutants.map(({ file }) => testsOf(file)))) {
    if ((await outcomeOf(tests, e2e)) === "survived") continue;
    throw new Error(`the ${tests} tests fail without a mutant; see ${TREE}`);
  }
  const score = new Score();
  for (const { file, line, how, text } of mutants) {
    if (Date.now() > deadline) break;
    const place = join(TREE, file);
    const original = readFileSync(file, "utf8");
    writeFileSync(place, text);
    try {
      const object = relative("c-src/lib", file).replace(/\.c$/, ".o");
      score.add(await outcomeOf(testsOf(file), e2e, object), `${file}:${line}  ${how}`);
    } finally {
      writeFileSync(place, original);
    }
  }
  score.print("C and Lua", log);
}

function copyRepository() {
  const files = execFileSync("git", ["ls-files"], { encoding: "utf8" }).split("\n").filter(Boolean);
  mkdirSync(TREE, { recursive: true });
  for (const file of files)
    if (existsSync(file)) cpSync(file, join(TREE, file), { preserveTimestamps: true });
  if (existsSync("dist")) cpSync("dist", join(TREE, "dist"), { recursive: true });
  rmSync(join(TREE, "node_modules"), { force: true });
  symlinkSync(resolve("node_modules"), join(TREE, "node_modules"));
}

const testsOf = (file) => (file.startsWith("c-src/lib/") ? "C" : "e2e");

/** "survived" if the tests pass. */
async function outcomeOf(tests, e2e, object) {
  if (tests === "e2e") return run("npx", ["vitest", "run", "--project", "e2e", e2e]);
  const build = resolve(TREE, "c-build");
  const make = ["-C", "c-src", "-j2", `BUILD_DIR=${build}`];
  if (object !== undefined) {
    const compiled = await run("make", [...make, join(build, "lib", object)]);
    if (compiled !== "survived") return "invalid";
  }
  return run("make", [...make, "run-tests"]);
}

/** A mutant that hangs counts as detected. */
function run(program, args) {
  const child = spawn(program, args, { cwd: TREE, stdio: "ignore", detached: true });
  const stop = () => process.kill(-child.pid, "SIGKILL");
  const timer = setTimeout(stop, PATIENCE_MS);
  return new Promise((done, fail) => {
    child.once("error", fail);
    child.once("close", (code) => done(code === 0 ? "survived" : "killed"));
  }).finally(() => clearTimeout(timer));
}

const FORMS = {
  ".c": { start: /\b(?:if|while) \(/g, negated: (text) => `(!(${text}))`, removed: "(0)" },
  ".lua": {
    start: /\b(?:if|elseif|while) /g,
    negated: (text) => `not (${text})`,
    removed: "false",
  },
};

export function mutantsIn(file) {
  const text = readFileSync(file, "utf8");
  const isLua = file.endsWith(".lua");
  const form = FORMS[isLua ? ".lua" : ".c"];
  const mutants = [];
  for (const match of text.matchAll(form.start)) {
    if (isComment(text, match.index)) continue;
    const condition = isLua ? luaCondition(text, match) : cCondition(text, match);
    if (!condition) continue;
    const { from, to } = condition;
    const line = text.slice(0, from).split("\n").length;
    const inner = isLua ? text.slice(from, to) : text.slice(from + 1, to - 1);
    const with_ = (replacement) => text.slice(0, from) + replacement + text.slice(to);
    mutants.push({ file, line, how: `negated: ${inner}`, text: with_(form.negated(inner)) });
    mutants.push({ file, line, how: `removed: ${inner}`, text: with_(form.removed) });
  }
  return mutants;
}

function isComment(text, at) {
  const line = text.slice(text.lastIndexOf("\n", at) + 1, at);
  return /^\s*(\*|\/\*|\/\/|--|#)/.test(line) || line.includes(" -- ");
}

/** From the parenthesis behind `if` to the one that closes it. */
function cCondition(text, match) {
  const from = match.index + match[0].length - 1;
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (text[at] === "(") depth += 1;
    if (text[at] === ")") depth -= 1;
    if (depth === 0) return { from, to: at + 1 };
  }
  return undefined;
}

function luaCondition(text, match) {
  const from = match.index + match[0].length;
  const end = match[0].startsWith("while") ? /\bdo\b/g : /\bthen\b/g;
  end.lastIndex = from;
  const found = end.exec(text);
  return found ? { from, to: text.slice(from, found.index).trimEnd().length + from } : undefined;
}
