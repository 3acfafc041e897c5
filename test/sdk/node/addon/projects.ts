// Projects whose modules sources.test.ts loads: the text of each file, by its path.

export type Files = Readonly<Record<string, string>>;

export const MODULE_PACKAGE = '{ "type": "module" }';

/** All that is more than JavaScript with types, the failing line with a number in its words. */
export const GENERATED: Files = {
  "package.json": MODULE_PACKAGE,
  "tsconfig.json": `{ "compilerOptions": {
    "paths": { "@/*": ["./lib/*"] }, "experimentalDecorators": true, "jsx": "react", "jsxFactory": "h" } }`,
  "lib/shout.ts": `export interface Shout { text: string }
export namespace Mark { export const end = "!"; }
export const shout = (text: string): Shout => ({ text: text.toUpperCase() + Mark.end });
export const fail = (): never => {
  throw new Error("line 5 of shout.ts");
};
`,
  "view.tsx": `const h = (tag: string, _: unknown, ...children: string[]) => \`<\${tag}>\${children.join("")}</\${tag}>\`;
export const view = (name: string) => <b>{name}</b>;
`,
  "main.ts": `import { setTimeout } from "node:timers/promises";
import dependency from "dependency";
import { Shout, shout, fail } from "@/shout";
import { view } from "./view";

enum Colour { red = "RED" }
function loud(_target: unknown, _name: string, descriptor: PropertyDescriptor) {
  const original = descriptor.value;
  descriptor.value = (text: string): Shout => shout(original(text));
}
class Greeter {
  constructor(private readonly greeting: string) {}
  greet(name: string) { return \`\${this.greeting} \${name}\`; }
  @loud static hello(name: string) { return new Greeter("hello").greet(name); }
}
const atTop = await setTimeout(1, "awaited");

export const hello = (name: string) => Greeter.hello(name);
export const bold = (name: string) => view(name);
export const colour = () => [Colour.red, atTop, dependency.name];
export const here = () => import.meta.url.replace(/.*\\//, "");
export const thrown = () => fail();
`,
  "node_modules/dependency/index.js": 'module.exports = { name: "dependency" };\n',
};

/** As package.json says what a file is. */
export const FORMATS = [
  ["module", { "package.json": MODULE_PACKAGE }],
  ["commonjs", { "package.json": '{ "type": "commonjs" }' }],
  ["typeless", { "package.json": "{}" }],
] as const;

export const MORE_THAN_TYPES: Files = {
  "tsconfig.json": `{
    // with comments, and a comma too many
    "compilerOptions": { "experimentalDecorators": true, "paths": { "@lib/*": ["./lib/*"] }, },
  }`,
  "main.ts": `import path = require("node:path");
import { Mark } from "./lib/mark";
import { Colour } from "@lib/colour";
import { doubled } from "./decorated";
import data from "./data.json";

const counts = globalThis as { loads?: number };
counts.loads = (counts.loads ?? 0) + 1;
const enum Size { small = 7 }
class Box { constructor(readonly size: Size) {} }

export const all = () => [
  Mark.end, Colour[Colour.red], doubled(2), data.answer, new Box(Size.small).size, path.sep,
  counts.loads,
];
`,
  "lib/mark.ts": 'export namespace Mark { export const end = "!"; }\n',
  "lib/colour.ts": "export enum Colour { red = 1, green }\n",
  "decorated.ts": `function twice(_target: any, _key: any, descriptor?: any): any {
  const old = descriptor.value;
  descriptor.value = function (this: any, x: number) { return old.call(this, x) * 2; };
  return descriptor;
}
class Numbers { @twice same(x: number) { return x; } }
export const doubled = (x: number) => new Numbers().same(x);
`,
  "data.json": '{ "answer": 42 }\n',
};
export const ALL_OF_IT = ["!", "red", 4, 42, 7, "/", 1];

export const STARTS_THREADS: Files = {
  "package.json": MODULE_PACKAGE,
  "main.ts": `import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

const options = { workerData: "given" as string };
const first = async (worker: Worker): Promise<unknown> => (await once(worker, "message"))[0];
const url = (name: string): URL => new URL("./" + name, import.meta.url);

export const byUrl = (name: string) => first(new Worker(url(name), options));
export const byPath = (name: string) => first(new Worker(join(import.meta.dirname, name), options));
export const nested = () => first(new Worker(url("nested.ts"), options));
export const forked = async () => (await once(fork(url("forked.ts"), ["given"]), "message"))[0];
`,
  "answer.ts": "export const answer: number = 42;\n",
  "plain.ts": `import { parentPort, workerData } from "node:worker_threads";
import { answer } from "./answer.ts";
parentPort?.postMessage({ answer, arg: workerData as string });
`,
  "common.cts": `const { parentPort, workerData } = require("node:worker_threads");
const { answer } = require("./answer.ts");
parentPort?.postMessage({ answer, arg: workerData as string });
`,
  "bundled.ts": `import { parentPort, workerData } from "node:worker_threads";
import { answer } from "./answer";
enum Kind { given }
parentPort?.postMessage({ answer, arg: Kind[Kind.given] satisfies typeof workerData });
`,
  "bundled.cts": `import worker = require("node:worker_threads");
import { answer } from "./answer";
worker.parentPort?.postMessage({ answer, arg: worker.workerData as string });
`,
  "nested.ts": `import { parentPort, Worker } from "node:worker_threads";
const inner = new Worker(new URL("./plain.ts", import.meta.url), { workerData: "given" as string });
inner.on("message", (message: object) => parentPort?.postMessage(message));
`,
  "forked.ts": `import { answer } from "./answer.ts";
process.send?.({ answer, arg: process.argv[2] as string }, () => process.exit());
`,
  "broken.ts": "\nconst = 1;\n",
};
