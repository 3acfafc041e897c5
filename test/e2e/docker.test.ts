// The steps of examples/docker/Dockerfile, one by one, and a question to what they make. The file
// system of this machine stands in for the images named by FROM.
import { cpSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository, runProgram } from "../support/cli.js";
import { canRunStages, runStages } from "../support/dockerfile.js";
import { temporaryFolder } from "../support/temporary.js";

test.runIf(canRunStages())(
  "examples/docker builds, copies the prefix and answers",
  async () => {
    const folder = temporaryFolder();
    const context = join(folder, "context");
    cpSync(join(repository, "examples/docker"), context, { recursive: true });
    const packed = await runProgram("npm", ["pack", "--pack-destination", context]);
    expect(packed.exitCode).toBe(0);

    const answer = await runStages(folder, {
      dockerfile: join(context, "Dockerfile"),
      context,
      caches: join(repository, ".nffi/test/docker"),
      meanwhile: `
      ! [ -e /tmp/nffi.tgz ]
      for i in $(seq 100); do
        answer=$(curl -sf 'http://127.0.0.1:8080/hello?name=World') && break
        sleep 0.1
      done
      echo "$answer"`,
    });
    expect(answer).toBe("hello World\n");
    expect(readdirSync(context)).toContain("app");
  },
  900_000,
);
