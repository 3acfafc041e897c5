// @ts-check
// `npm run dev`: compiles whenever a source changes and reloads nginx whenever that has worked, or
// when Lua or nginx.conf has changed, so that the next request meets the new code. The types for the
// Lua editor follow, where `nffi` is on the PATH. Shows nginx's log; Ctrl-C ends all of it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { watch } from "node:fs";
import { join } from "node:path";
import { optionsOf, reload, report, root, start, stop } from "./nginx.mjs";

const tsc = [join(root, "node_modules/typescript/bin/tsc"), "--noEmitOnError"];

async function dev() {
  const { run, port } = optionsOf(process.argv.slice(2));
  const [code] = await once(helper(process.execPath, tsc), "exit");
  if (code !== 0) process.exit(1);

  console.log(`nginx listens on ${await start({ run, port })}`);
  const helpers = [
    helper(process.execPath, [...tsc, "--watch", "--preserveWatchOutput"]),
    helper("tail", ["-n", "0", "-F", join(root, run, "logs/error.log")]),
  ];
  const stopWatching = reloadOnChange({ run, port });
  // SIGHUP: the terminal was closed.
  await Promise.race(["SIGINT", "SIGTERM", "SIGHUP"].map((signal) => once(process, signal)));
  stopWatching();
  for (const one of helpers) one.kill();
  await stop({ run });
}

/** @param {string} program @param {string[]} args */
function helper(program, args) {
  return spawn(program, args, { cwd: root, stdio: "inherit" });
}

/** Directories, and the files in them that make nginx reload the project. */
const WATCHED = /** @type {const} */ ([
  ["dist", /\.js$/],
  ["lua", /(?<!\.d)\.lua$/],
  [".", /^nginx\.conf$/],
]);

/**
 * nginx starts new workers with the new code; the old ones finish what they serve.
 * @param {{ run: string, port?: number | undefined }} options
 */
function reloadOnChange(options) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const load = () => {
    try {
      reload(options);
    } catch (error) {
      console.error(error instanceof Error ? error.message : error);
    }
    writeTypes();
  };
  const watchers = WATCHED.map(([folder, names]) =>
    watch(join(root, folder), (_event, name) => {
      if (!name || !names.test(name)) return;
      clearTimeout(timer);
      // One compilation writes several files.
      timer = setTimeout(load, 200);
    }),
  );
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

/** What `npm run types` says is shown when it fails for another reason than that there is no nffi. */
function writeTypes() {
  const types = spawn("npm", ["run", "--silent", "types"], { cwd: root });
  let output = "";
  for (const stream of [types.stdout, types.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  }
  types.on("error", () => {});
  types.on("close", (code) => {
    if (code !== 0 && code !== 127) console.error(output.trimEnd());
  });
}

await dev().catch(report);
