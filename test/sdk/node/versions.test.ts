// The essential scenarios on every Node that is promised, each through a real nginx.
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { repository } from "../../support/cli.js";
import { content } from "../../support/lua.js";
import { type Nginx, until, withNginx } from "../../support/nginx.js";
import { anySuite, builtOpenresty } from "../../support/openresty.js";
import { installedNode, NODE_VERSIONS, packagesFolder } from "./nodes.js";

const MAIN = `import { crc32 } from "@node-rs/crc32";
import data from "./data.json" with { type: "json" };

interface Asked {
  readonly name: string;
}
const ready = await Promise.resolve("at the top");

export const version = (): string => process.version;
export const hello = ({ name }: Asked) => ({ greeting: \`hello \${name}\`, ready, answer: data.answer });
export const checksum = (text: string) => crc32(text);
export const fails = () => {
  throw new TypeError("line 13");
};
export const later = async (ms: number) => {
  await new Promise((done) => setTimeout(done, ms));
  return ms;
};
export const exits = (code: number) => process.exit(code);
export const unhandled = (): Promise<never> => {
  Promise.reject(new Error("line 21"));
  return new Promise(() => {});
};
export const waits = async (_: unknown, context: { signal: AbortSignal }) => {
  await new Promise((done) => context.signal.addEventListener("abort", done));
  console.warn("nobody waits any more");
};
export const counts = async function* (to: number) {
  for (let at = 1; at <= to; at++) yield at;
};
export const computes = (ms: number) => {
  for (const end = Date.now() + ms; Date.now() < end; );
  return ms;
};
export default (bytes: Buffer) => bytes.reverse();
`;

const BUNDLED = `enum Size { small = 1, large }
class Box { constructor(readonly size: Size) {} }
export const size = () => new Box(Size.large).size;
export const fails = () => { throw new Error("line 4"); };
`;

function server(program: string): string {
  const load = (module: string, more = "") =>
    `local rt = assert(nffi.load("node", { module = "${module}", program = "${program}" ${more} }))`;
  const method = `ngx.say(show(rt.methods[ngx.var.arg_m](rt.methods, tonumber(ngx.var.arg_v) or ngx.var.arg_v)))`;
  return [
    content("= /main", `${load("main.ts")} ${method}`),
    content("= /threads", `${load("main.ts", ", threads = 2")} ${method}`),
    content("= /bundled", `${load("bundled.ts")} ${method}`),
    content(
      "= /hello",
      `${load("main.ts")}
       local response = assert(rt.methods:hello({ name = "Lua" }))
       ngx.say(response.greeting, " ", response.ready, " ", response.answer)`,
    ),
    content("= /bytes", `${load("main.ts")} ngx.say((rt:call("abc")))`),
    content(
      "= /counts",
      `${load("main.ts")} for at in rt.streams:counts(5) do ngx.print(at, " ") end`,
    ),
    content(
      "= /timeout",
      `${load("main.ts")} ngx.say(show(rt.methods:waits(1, { timeout = 50 })))`,
    ),
    content("= /reload", `${load("main.ts")} ngx.say(show(rt:reload()))`),
  ].join("\n");
}

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty(anySuite);
  for (const version of NODE_VERSIONS) installedNode(version);
});

/** Packages that the module finds from its directory. */
function addPackages(nginx: Nginx): void {
  const native = packagesFolder("native", "@node-rs/crc32@1");
  symlinkSync(join(native, "node_modules"), join(nginx.dir, "node_modules"));
  symlinkSync(join(repository, "node_modules"), join(nginx.dir, "bundled/node_modules"));
}

test.each(NODE_VERSIONS)("Node %i", async (version) => {
  const program = installedNode(version);
  const files = {
    "main.ts": MAIN,
    "data.json": '{ "answer": 42 }',
    "package.json": '{ "type": "module" }',
    "bundled/main.ts": BUNDLED,
  };
  const conf = server(program).replaceAll("bundled.ts", "bundled/main.ts");
  await withNginx({ prefix, files, server: conf }, async (nginx) => {
    addPackages(nginx);
    const main = async (name: string, value: string | number = "") =>
      (await nginx.get(`/main?m=${name}&v=${value}`)).trimEnd();

    // values, packages, bytes, chunks
    expect(await main("version")).toMatch(new RegExp(`^v${version}\\.`));
    expect(await nginx.get("/hello")).toBe("hello Lua at the top 42\n");
    expect(await main("checksum", "a")).toBe(String(0xe8b7be43));
    expect(await nginx.get("/bytes")).toBe("cba\n");
    expect(await nginx.get("/counts")).toBe("1 2 3 4 5 ");
    const many = Array.from({ length: 200 }, (_, ms) => ms % 20);
    expect(await Promise.all(many.map((ms) => main("later", ms)))).toEqual(many.map(String));

    // errors, in terms of the TypeScript
    expect(await main("fails")).toMatch(
      /^nil\|line 13\|runtime_error\|TypeError: line 13\n\s+at fails \(.*main\.ts:13:\d+\)/,
    );
    expect(await nginx.get("/timeout")).toMatch(/^nil\|.*\|timeout/);
    expect(await nginx.waitForLog("nobody waits any more")).toMatch(
      /\[warn\] .*\[main\.ts\] nobody waits any more/,
    );
    expect(await nginx.get("/bundled?m=size")).toBe("2\n");
    expect(await nginx.get("/bundled?m=fails")).toMatch(/at fails \(.*bundled\/main\.ts:4:\d+\)/);

    // threads, beside the runtime that has none
    const computing = [1, 2].map(() => nginx.get("/threads?m=computes&v=300"));
    expect(await nginx.get("/hello")).toContain("hello Lua");
    expect(await Promise.all(computing)).toEqual(["300\n", "300\n"]);
    expect(await nginx.get("/threads?m=exits&v=4")).toMatch(/thread \d ended: process\.exit\(4\)/);
    expect(await nginx.get("/threads?m=later&v=1")).toBe("1\n");

    // the process ends, and comes back
    expect(await nginx.get("/reload")).toBe("true\n");
    expect(await main("exits", 3)).toMatch(/is down: .*exit code 3.*\|runtime_down/);
    await until(
      async () => (await main("later", 1)) === "1",
      10_000,
      () => "it does not come back",
    );
    expect(await main("unhandled")).toMatch(
      /is down: .*unhandled promise rejection: .*line 21.*\|runtime_down/,
    );
    expect(await nginx.waitForLog(/at unhandled \(.*main\.ts:21:\d+\)/)).not.toMatch(/\[alert\]/);
  });
});
