// `nffi new-runtime` as a user meets it: the project it makes does what the printed lines say, and
// each way to go wrong is one message.
import { spawn } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../src/io/port.js";
import { repository, runCli } from "../../support/cli.js";
import { expectPrintedLines, generatedProject, shellIn } from "../../support/generated-project.js";
import { hasLanguageServer, LanguageServer } from "../../support/language-server.js";
import { until, withNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { temporaryFolder, temporaryFolderOfAll } from "../../support/temporary.js";
import { runWorkflow } from "../../support/workflow.js";
import { packagesFolder } from "./nodes.js";

let prefix: string;

/** A directory of the PATH with `nffi`, as `npm install --global` makes it. */
const withNffi = temporaryFolderOfAll();
symlinkSync(join(repository, "bin/nffi.mjs"), join(withNffi, "nffi"));

beforeAll(async () => {
  prefix = await builtOpenresty();
});

const ENV = {
  npm_config_loglevel: "error",
  npm_config_fund: "false",
  PATH: `${withNffi}:${process.env.PATH}`,
};

describe("the project", () => {
  const hello = generatedProject({ name: "hello", env: ENV, stop: "npm stop" });
  const { parent, project, shell } = hello;

  test("answers after the lines that were printed", () => void expectPrintedLines(hello));

  // Debian's and Ubuntu's: npm 9.0 to 9.3 copies a `file:` dependency, other versions link it.
  test("answers with npm 9.2, too", () => {
    const path = join(packagesFolder("npm-9.2", "npm@9.2.0"), "node_modules/.bin");
    rmSync(join(project, "node_modules"), { recursive: true });
    rmSync(join(project, "package-lock.json"));
    const ran = shell(["npm --version", ...hello.lines], parent, {
      PATH: `${path}:${process.env.PATH}`,
    });
    expect(ran.stdout, ran.stderr).toMatch(/^9\.2\.0\n/);
    expect(ran.stdout, ran.stderr).toContain("\nhello World\n");
    expect(lstatSync(join(project, "node_modules/@nffi/runtime")).isSymbolicLink()).toBe(false);
    expect(ran.status, ran.stderr).toBe(0);
  });

  test("passes its own tests, of the handlers alone and through nginx", () => {
    const tested = shell(["npm test"]);
    expect(tested.stdout).toMatch(/# pass 6\n# fail 0/);
    expect(tested.status).toBe(0);
  });

  test("lint finds nothing, and finds what is wrong", () => {
    const linted = shell(["npm run lint"]);
    expect(linted.stdout + linted.stderr).toMatch(/Checked \d+ files/);
    expect(linted.status, linted.stdout + linted.stderr).toBe(0);
    const file = join(project, "src/wrong.ts");
    onTestFinished(() => rmSync(file));
    writeFileSync(file, 'import { once } from "node:events";\n');
    const wrong = shell(["npm run lint"]);
    expect(wrong.stdout + wrong.stderr).toContain("noUnusedImports");
    expect(wrong.status).not.toBe(0);
  });

  test("the types of its handlers are current, and npm run types makes them so", () => {
    expect(shell(["npm run types -- --check"]).stdout).toContain("is current");
    const source = join(project, "src/handlers.ts");
    const text = readFileSync(source, "utf8");
    onTestFinished(() => writeFileSync(source, text));
    writeFileSync(source, text.replace("readonly name: string", "readonly name: string | null"));
    expect(shell(["npm run types -- --check"]).status).not.toBe(0);
    writeFileSync(
      source,
      text.replace("readonly waited: number", "readonly waited: number | string"),
    );
    const stub = join(project, "lua/handlers.d.lua");
    const before = readFileSync(stub, "utf8");
    onTestFinished(() => writeFileSync(stub, before));
    expect(shell(["npm run types"]).stdout).toContain("wrote lua/handlers.d.lua");
    expect(readFileSync(stub, "utf8")).toContain("---@field waited string|number");
  });

  test("npm run types says how to install nffi where it is not on the PATH", () => {
    const path = (process.env.PATH ?? "")
      .split(":")
      .filter((one) => !existsSync(join(one, "nffi")));
    const refused = shell([`PATH=${path.join(":")}`, "npm run types"]);
    expect(refused.stderr).toContain("npm run types needs nffi, which is not on the PATH");
    expect(refused.status).toBe(1);
    const hint = /run: (npm install --global .*)/.exec(refused.stderr)?.[1] ?? "";
    const global = temporaryFolder();
    const followed = shell([
      `PATH=${global}/bin:${path.join(":")}; export npm_config_prefix=${global}`,
      `(cd ${repository} && npm pack --ignore-scripts --silent --pack-destination ${project})`,
      hint,
      "npm run types -- --check",
      "rm nffi-*.tgz",
    ]);
    expect(followed.stdout, followed.stderr).toContain("is current");
  });

  test.runIf(hasLanguageServer)(
    "its Lua is without fault in an editor, and a wrong call has one",
    async () => {
      const editor = await LanguageServer.open(project);
      onTestFinished(() => editor.close());
      const app = readFileSync(join(project, "lua/app.lua"), "utf8");
      const faults = async (text: string) =>
        (await editor.complaints("lua/app.lua", text)).map(({ code }) => code);
      expect(await faults(app)).toEqual([]);
      expect(await faults(app.replace("{ name = name }", "{ name = 1 }"))).toEqual([
        "assign-type-mismatch",
      ]);
      expect(await faults(app.replace("response.greeting", "response.greting"))).toEqual([
        "undefined-field",
      ]);
    },
  );

  test("npm start names a port that is used by another program", async () => {
    const other = createServer();
    await new Promise<void>((done) => other.listen(0, "127.0.0.1", done));
    onTestFinished(() => void other.close());
    const { port } = other.address() as { port: number };
    const busy = shell([`npm start -- --port ${port}`]);
    expect(busy.stderr).toContain(`port ${port} is used by another program`);
    expect(busy.status).not.toBe(0);
  });

  const misuse = [
    ["an unknown option", "npm start -- --prot 1", /unknown argument "--prot"\n {2}hint: /],
    ["an option that npm has taken", "npm start --port 8097", /unknown argument "8097"/],
    [
      "a port that is none",
      "npm run dev -- --port x",
      /--port expects 0 or a port from 1 to 65535/,
    ],
    ["a path as --run", "npm start -- --run /tmp", /--run expects the name of a directory/],
  ] as const;

  test.each(misuse)("%s is reported in words", (_what, command, message) => {
    const told = shell([command]);
    expect(told.stderr).toMatch(message);
    expect(told.stderr).not.toContain("    at ");
    expect(told.status).toBe(2);
  });

  test("npm start takes another address, and asks for a port where there is none", async () => {
    const conf = join(project, "nginx.conf");
    const text = readFileSync(conf, "utf8");
    onTestFinished(() => writeFileSync(conf, text));
    const port = await freePort();
    writeFileSync(conf, text.replace(/listen .*/, `listen localhost:${port} reuseport;`));
    expect(shell(["npm start", "npm stop"]).stdout).toContain(`:${port} `);
    writeFileSync(conf, text.replace(/listen .*/, "listen unix:nginx.sock;"));
    expect(shell(["npm start"]).stderr).toContain("no line `listen PORT;`");
  });

  test("npm start says that it runs already, npm stop that it does not", () => {
    const twice = shell(["npm start", "npm start"]);
    expect(twice.stderr).toContain("nginx already runs in run/");
    expect(twice.status).not.toBe(0);
    expect(shell(["npm stop", "npm stop"]).stdout).toContain("no nginx runs in run/");
  });

  test("a pid file with the number of another project's nginx does no harm", async () => {
    await withNginx({ prefix }, async (nginx) => {
      mkdirSync(join(project, "run/logs"), { recursive: true });
      writeFileSync(join(project, "run/logs/nginx.pid"), `${nginx.pid}\n`);
      expect(shell(["npm stop"]).stdout).toContain("no nginx runs in run/");
      expect((await nginx.request("/")).status).toBeGreaterThan(0);
    });
  });

  test("npm start says what is missing when the product was removed", () => {
    const env = "NFFI_PREFIX=/nowhere";
    const gone = shell([`${env} npm start`]);
    expect(gone.stderr).toContain("no OpenResty in /nowhere: run `nffi build` here, or link");
    expect(gone.status).toBe(1);
  });

  test("npm run dev answers with the new code after a change, and ends all of it", async () => {
    const options = ["--", "--port", String(await freePort())];
    // its own group: Ctrl-C goes to npm and to what it runs
    const dev = spawn("npm", ["run", "dev", ...options], { cwd: project, detached: true });
    const interrupt = () => process.kill(-(dev.pid ?? 0), "SIGINT");
    onTestFinished(() => {
      if (dev.exitCode === null && dev.signalCode === null) interrupt();
    });
    const ended = new Promise((done) => dev.once("exit", done));
    let output = "";
    for (const stream of [dev.stdout, dev.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    const shown = () => output;
    await until(() => /listens on .*watching for changes/s.test(output), 30_000, shown);
    const [, address] = /listens on (\S+)/.exec(output) ?? [];
    const greeting = async () => (await fetch(`${address}/hello?name=dev`)).text();
    expect(await greeting()).toBe("hello dev\n");

    const source = join(project, "src/handlers.ts");
    writeFileSync(source, readFileSync(source, "utf8").replace("`hello ${", "`welcome ${"));
    await until(async () => (await greeting()) === "welcome dev\n", 30_000, shown);

    const lua = join(project, "lua/app.lua");
    writeFileSync(
      lua,
      readFileSync(lua, "utf8").replace("response.greeting)", 'response.greeting, "!")'),
    );
    await until(async () => (await greeting()) === "welcome dev!\n", 30_000, shown);

    // nginx runs with a copy of it
    const conf = join(project, "nginx.conf");
    const text = readFileSync(conf, "utf8");
    onTestFinished(() => writeFileSync(conf, text));
    writeFileSync(conf, text.replace("server {", "server {\nlocation = /new { return 204; }"));
    await until(async () => (await fetch(`${address}/new`)).status === 204, 30_000, shown);
    interrupt();
    await ended;
    expect(output).toContain("nginx has stopped");
    await expect(fetch(`${address}/hello`)).rejects.toThrow();
  });
});

test("the steps of its CI file pass, from a checkout on, with the packed file of nffi", async () => {
  const parent = temporaryFolder();
  const args = ["new-runtime", "checked", "--lang", "typescript", "--prefix", prefix];
  expect((await runCli(args, { cwd: parent })).stderr).toBe("");
  const pack = ["npm pack --ignore-scripts --silent --pack-destination", parent].join(" ");
  const packed = join(parent, shellIn(repository, [pack], ENV).stdout.trim());
  const { output, cacheKey } = runWorkflow(join(parent, "checked"), prefix, { packed });
  expect(cacheKey).toMatch(/^openresty-[0-9a-f]{64}$/);
  expect(output).toContain("handlers.d.lua is current");
  expect(output).toMatch(/# fail 0/);
});

describe("bad input", () => {
  const failures = [
    ["a name that cannot be one", ["No"], 2, /^nffi: "No" cannot be the name of a runtime/],
    ["an unknown language", ["a", "--lang", "cobol"], 2, /hint: languages: typescript, go\b/],
    ["a port that is none", ["a", "--port", "0"], 2, /must be a port from 1 to 65535/],
    [
      "no build there",
      ["a", "--prefix", "none"],
      15,
      /no product of nffi in \S+\/none: .*nffi\.json not found\n.*nffi(\.mjs)? build/,
    ],
  ] as const;

  test.each(failures)("%s", async (_what, args, exitCode, message) => {
    const cwd = temporaryFolder();
    const failed = await runCli(["new-runtime", "--prefix", prefix, ...args], { cwd });
    expect(failed.stderr).toMatch(message);
    expect(failed.exitCode).toBe(exitCode);
    expect(readdirSync(cwd)).toEqual([]);
  });

  test("a directory with something in it, until --overwrite is given", async () => {
    const cwd = temporaryFolder();
    const args = ["new-runtime", "hello", "--prefix", prefix];
    expect((await runCli(args, { cwd })).exitCode).toBe(0);
    writeFileSync(join(cwd, "hello/package.json"), "mine");
    const failed = await runCli(args, { cwd });
    expect(failed.stderr).toContain("exists and is not empty");
    expect(failed.exitCode).toBe(16);
    expect(readFileSync(join(cwd, "hello/package.json"), "utf8")).toBe("mine");
    expect((await runCli([...args, "--overwrite"], { cwd })).exitCode).toBe(0);
    expect(readFileSync(join(cwd, "hello/package.json"), "utf8")).toContain('"hello"');
  });

  test("a directory that cannot be written to", async () => {
    const failed = await runCli(["new-runtime", "hello", "--prefix", prefix], { cwd: "/proc" });
    expect(failed.stderr).toMatch(/^nffi: cannot make \/proc\/hello: /);
    expect(failed.exitCode).toBe(16);
  });
});

test("--dry-run lists the files and writes nothing", async () => {
  const cwd = temporaryFolder();
  const told = await runCli(["new-runtime", "hello", "--prefix", prefix, "--dry-run"], { cwd });
  expect(told.stdout).toMatch(
    /^using .* \(named on the command line\)\nwould make \S+\/hello \(TypeScript\):\n/,
  );
  expect(told.stdout).toContain("  src/handlers.ts\n");
  expect(told.exitCode).toBe(0);
  expect(readdirSync(cwd)).toEqual([]);
});
