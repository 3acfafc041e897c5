// Runs the steps of docs/ci.md for CI systems other than GitHub's, from the text itself, twice: the
// second time nothing is built.
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import {
  type BuiltEvent,
  bareEnvironment,
  expectNginx,
  lastEvent,
  runScript,
} from "../support/ci-run.js";
import { repository } from "../support/cli.js";
import { packNffi } from "../support/docker-project.js";
import { temporaryFolderOfAll } from "../support/temporary.js";

const folder = temporaryFolderOfAll();
const workspace = join(folder, "workspace");
const cache = join(folder, "cache");
const script = /^## Other CI systems\n[\s\S]*?^```sh\n([\s\S]*?)^```$/m.exec(
  readFileSync(join(repository, "docs/ci.md"), "utf8"),
)?.[1];
let packed = "";

beforeAll(async () => {
  mkdirSync(cache);
  packed = await packNffi(folder);
});

async function run(name: string): Promise<BuiltEvent> {
  rmSync(workspace, { recursive: true, force: true });
  mkdirSync(workspace);
  cpSync(packed, join(workspace, basename(packed)));
  const env = { ...bareEnvironment(join(folder, `home-${name}`)), CI: "true", CI_CACHE: cache };
  await runScript(["sh"], script ?? "exit 1", { cwd: workspace, env });
  return lastEvent(join(workspace, "build.ndjson"));
}

test("the steps of docs/ci.md build once; the second run takes what the first has kept", async () => {
  const prefix = join(workspace, "openresty");
  expect(await run("first")).toMatchObject({ event: "built", prefix, unchanged: false });
  expect(await run("second")).toMatchObject({ event: "built", prefix, unchanged: true });
  await expectNginx(prefix);
  expect(existsSync(join(folder, "home-second/.cache/nffi/work"))).toBe(false);
}, 900_000);
