/** The list of what `nffi bench` compares, as far as this machine has it. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { wholeEnvironment } from "../host/environment.js";
import { findProgram } from "../host/tools.js";
import { run } from "../io/exec.js";
import { exists } from "../io/files.js";
import {
  buildC,
  buildGo,
  buildJava,
  buildRust,
  isMissing,
  type Missing,
  type Workshop,
} from "./compiled.js";
import type { LeftOut, Subject, Subjects } from "./subject.js";

/** Subjects of one language, or why there are none. */
type Offer = readonly Subject[] | Missing;

/** `wanted`: names of languages; all if empty. */
export async function findSubjects(
  workshop: Workshop,
  wanted: readonly string[],
): Promise<Subjects> {
  const offers: Readonly<Record<string, (workshop: Workshop) => Promise<Offer>>> = {
    c: offerC,
    go: offerGo,
    rust: offerRust,
    typescript: offerTypescript,
    python: offerPython,
    java: offerJava,
    lua: offerLua,
  };
  const subjects: Subject[] = [];
  const leftOut: LeftOut[] = [];
  for (const [name, offer] of Object.entries(offers)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const found = await offer(workshop);
    if (isMissing(found)) leftOut.push({ name, reason: found.reason });
    else subjects.push(...found);
  }
  return { subjects, leftOut };
}

export const LANGUAGES_COMPARED = ["c", "go", "rust", "typescript", "python", "java", "lua"];

async function offerC(workshop: Workshop): Promise<Offer> {
  const library = join(workshop.prefix, "nffi/lib/libnffi_echo.so");
  const nffi = ofNffi("C", "nffi, C", { load: library });
  const built = await buildC(workshop);
  if (isMissing(built)) return [nffi];
  const socket = join(workshop.folder, "c.sock");
  const server = { command: [built.server, socket], sockets: [socket] } as const;
  return [
    {
      name: "floor: futex and eventfd",
      language: "C",
      way: "floor",
      query: {},
      program: built.floor,
    },
    nffi,
    cosocket("C", socket, server),
  ];
}

async function offerGo(workshop: Workshop): Promise<Offer> {
  const built = await buildGo(workshop);
  if (isMissing(built)) return built;
  return [
    ofNffi("Go", "nffi, Go", { load: built.library }),
    ofNffi("Go", "nffi, Go, inline", { load: built.library, method: "inline" }),
    ...behindSockets("Go", "go", workshop, [built.server]),
  ];
}

async function offerRust(workshop: Workshop): Promise<Offer> {
  const built = await buildRust(workshop);
  if (isMissing(built)) return built;
  const socket = join(workshop.folder, "rust.sock");
  return [
    ofNffi("Rust", "nffi, Rust", { load: built.library }),
    ofNffi("Rust", "nffi, Rust, inline", { load: built.library, method: "inline" }),
    cosocket("Rust", socket, { command: [built.server, socket], sockets: [socket] }),
  ];
}

async function offerTypescript(workshop: Workshop): Promise<Offer> {
  if (!(await isFile(join(workshop.prefix, "nffi/node/main.js")))) {
    return { reason: "the product has no part for Node" };
  }
  const source = (name: string) => join(workshop.sources, "node", name);
  const module = source("echo.mjs");
  return [
    ofProcess("TypeScript", "nffi, TypeScript", "node", { module }),
    ...behindSockets("TypeScript", "node", workshop, [process.execPath, source("server.mjs")]),
  ];
}

async function offerPython(workshop: Workshop): Promise<Offer> {
  const python = await findProgram("python3", workshop.env);
  if (python === undefined) return { reason: "no python3 in PATH" };
  const source = (name: string) => join(workshop.sources, "python", name);
  const options = { module: source("echo.py"), codec: "raw" };
  return [
    ofProcess("Python", "nffi, Python", "python", options),
    ofWorker("Python", "nffi, Python, in the worker", "python", options),
    ...behindSockets("Python", "python", workshop, [python, source("server.py")]),
  ];
}

async function offerJava(workshop: Workshop): Promise<Offer> {
  if (!(await exists(join(workshop.prefix, "nffi/java/nffi.jar")))) {
    return { reason: "the product has no part for Java" };
  }
  const built = await buildJava(workshop);
  if (isMissing(built)) return built;
  const java = (await findProgram("java", workshop.env)) ?? "java";
  const options = { module: "Echo", classpath: built.classes, jvm_args: ["-Xmx256m"] };
  const socket = join(workshop.folder, "java.sock");
  const command = [java, "-Xmx256m", "-cp", built.classes, "Server", socket] as const;
  return [
    ofProcess("Java", "nffi, Java", "java", options),
    ofWorker("Java", "nffi, Java, in the worker", "java", options),
    cosocket("Java", socket, { command, sockets: [socket] }),
  ];
}

async function offerLua({ nginx, env, signal }: Workshop): Promise<Offer> {
  const version = await run(
    { program: nginx, args: ["-V"], env: wholeEnvironment(env) },
    { signal },
  );
  if (!version.stderr.includes("--with-threads")) {
    return { reason: "this nginx was built without --with-threads" };
  }
  const query = { way: "worker-thread" };
  return [{ name: "run_worker_thread, Lua", language: "Lua", way: "run_worker_thread", query }];
}

function ofNffi(language: string, name: string, query: Record<string, string>): Subject {
  return { name, language, way: "nffi", query: { way: "nffi", ...query } };
}

function ofProcess(
  language: string,
  name: string,
  load: string,
  options: { module: string },
): Subject {
  return {
    ...ofNffi(language, name, {
      load,
      options: JSON.stringify({ affinity: "inherit", ...options }),
    }),
    processOf: options.module,
  };
}

function ofWorker(language: string, name: string, load: string, options: object): Subject {
  return ofNffi(language, name, { load, options: JSON.stringify({ host: "worker", ...options }) });
}

function cosocket(
  language: string,
  socket: string,
  server: NonNullable<Subject["server"]>,
): Subject {
  const query = { way: "cosocket", socket };
  return { name: `cosocket, ${language}`, language, way: "cosocket", query, server };
}

/** A server that is reached both ways: one process. */
function behindSockets(
  language: string,
  key: string,
  { folder }: Workshop,
  program: readonly [string, ...string[]],
): Subject[] {
  const socket = join(folder, `${key}.sock`);
  const http = join(folder, `${key}-http.sock`);
  const server = { command: [...program, socket, http], sockets: [socket, http] } as const;
  return [
    cosocket(language, socket, server),
    {
      name: `proxy_pass, ${language}`,
      language,
      way: "proxy_pass",
      query: { way: "subrequest", location: `/proxy/${key}-http` },
    },
  ];
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
