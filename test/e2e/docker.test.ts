// The steps of examples/docker/Dockerfile and of projects' own, one by one, and a question to what
// they make. The file system of this machine stands in for the images named by FROM. The other
// languages are in test/full/docker.test.ts.
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { CONFIGURE_ARGS } from "../support/configure-args.js";
import { ASK, packNffi, projectRun } from "../support/docker-project.js";
import { canRunStages, runStages } from "../support/dockerfile.js";
import { builtOpenresty } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

const BUILD = "nffi build --source debian:trixie --prefix /opt/openresty";

/** All in one go: what builds OpenResty is the same in the files, and is done once. */
test.runIf(canRunStages())(
  "examples/docker and projects in TypeScript and C build, leave behind what it took, and answer",
  async () => {
    const folder = temporaryFolder();
    const example = join(folder, "example");
    cpSync(join(repository, "examples/docker"), example, { recursive: true });
    const packed = await packNffi(example);
    const typescript = await projectRun("typescript", {
      ...{ folder, packed },
      without: ["node_modules/typescript"],
    });
    const c = await projectRun("c", { folder, packed, without: [] });

    const runs = [
      { dockerfile: join(example, "Dockerfile"), context: example, meanwhile: ASK },
      typescript,
      c,
    ];
    await builtOpenresty(); // its compiled objects are used
    for (const { dockerfile } of runs) passConfigureArgs(dockerfile);
    const answers = await runStages(folder, join(repository, ".nffi/test/docker"), runs);
    expect(answers).toEqual(["hello World\n", "hello World\n", "hello World\n"]);
    expect(readdirSync(example)).toContain("app");
    expect(existsSync(join(typescript.context, "node_modules"))).toBe(false);
    expect(existsSync(join(c.context, "build"))).toBe(false);
  },
  900_000,
);

/** As a user with options does; test/full/docker.test.ts builds with those of the Dockerfile. */
function passConfigureArgs(dockerfile: string): void {
  const text = readFileSync(dockerfile, "utf8");
  const parts = text.split(BUILD);
  expect(parts).toHaveLength(2);
  writeFileSync(dockerfile, parts.join([BUILD, "--", ...CONFIGURE_ARGS].join(" ")));
}
