// The steps of examples/docker/Dockerfile and of a project's own, one by one, and a question to what
// they make. The file system of this machine stands in for the images named by FROM.
import { cpSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository, runCli, runProgram } from "../support/cli.js";
import { canRunStages, runStages } from "../support/dockerfile.js";
import { builtOpenresty } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

const caches = join(repository, ".nffi/test/docker");

/** Asks until nginx answers, and prints that; what building took must not be in the last image. */
const ASK = `
  ! [ -e /tmp/nffi.tgz ]
  for i in $(seq 100); do
    answer=$(curl -sf 'http://127.0.0.1:8080/hello?name=World') && break
    sleep 0.1
  done
  echo "$answer"`;

async function packInto(context: string): Promise<void> {
  const packed = await runProgram("npm", ["pack", "--pack-destination", context]);
  expect(packed.exitCode).toBe(0);
}

test.runIf(canRunStages())(
  "examples/docker builds, copies the prefix and answers",
  async () => {
    const folder = temporaryFolder();
    const context = join(folder, "context");
    cpSync(join(repository, "examples/docker"), context, { recursive: true });
    await packInto(context);
    const dockerfile = join(context, "Dockerfile");
    const answer = await runStages(folder, { dockerfile, context, caches, meanwhile: ASK });
    expect(answer).toBe("hello World\n");
    expect(readdirSync(context)).toContain("app");
  },
  900_000,
);

test.runIf(canRunStages())(
  "a project in TypeScript builds, leaves its compiler behind and answers",
  async () => {
    const folder = temporaryFolder();
    const prefix = await builtOpenresty();
    const args = ["new-runtime", "context", "--lang", "typescript", "--prefix", prefix];
    expect((await runCli(args, { cwd: folder })).stderr).toBe("");
    const context = join(folder, "context");
    await packInto(context);
    const answer = await runStages(folder, {
      dockerfile: join(context, "Dockerfile"),
      context,
      caches,
      meanwhile: `! [ -e /app/node_modules/typescript ]${ASK}`,
    });
    expect(answer).toBe("hello World\n");
    expect(existsSync(join(context, "node_modules"))).toBe(false);
  },
  900_000,
);
