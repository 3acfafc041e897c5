// The Dockerfiles of projects in Go, Python, Rust and Java; test/e2e/docker.test.ts runs the other
// languages. Building OpenResty with a JDK, and crates, takes minutes.
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { packNffi, projectRun } from "../support/docker-project.js";
import { canRunStages, runStages } from "../support/dockerfile.js";
import { temporaryFolder } from "../support/temporary.js";

test.runIf(canRunStages())(
  "each Dockerfile builds, leaves behind what it took, and answers",
  async () => {
    const folder = temporaryFolder();
    const packed = await packNffi(folder);
    const runs = [
      await projectRun("go", { folder, packed, without: [] }),
      await projectRun("python", { folder, packed, without: [] }),
      await projectRun("rust", { folder, packed, without: ["target"] }),
      await projectRun("java", { folder, packed, without: [] }),
    ];
    const answers = await runStages(folder, join(repository, ".nffi/test/docker"), runs);
    expect(answers).toEqual(runs.map(() => "hello World\n"));
  },
);
