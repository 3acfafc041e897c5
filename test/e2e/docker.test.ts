// The steps of examples/docker/Dockerfile and of a project's own, one by one, and a question to what
// they make. The file system of this machine stands in for the images named by FROM.
import { cpSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository, runCli, runProgram } from "../support/cli.js";
import { canRunStages, runStages } from "../support/dockerfile.js";
import { builtOpenresty } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

/** Asks until nginx answers, and prints that; what building took must not be in the last image. */
const ASK = `
  ! [ -e /tmp/nffi.tgz ]
  for i in $(seq 100); do
    answer=$(curl -sf 'http://127.0.0.1:8080/hello?name=World') && break
    sleep 0.1
  done
  echo "$answer"`;

/** Both in one go: what builds OpenResty is the same in the two files, and is done once. */
test.runIf(canRunStages())(
  "examples/docker and a project in TypeScript build, leave behind what it took, and answer",
  async () => {
    const folder = temporaryFolder();
    const example = join(folder, "example");
    cpSync(join(repository, "examples/docker"), example, { recursive: true });
    const project = join(folder, "project");
    const args = ["new-runtime", "project", "--lang", "typescript"];
    const made = await runCli([...args, "--prefix", await builtOpenresty()], { cwd: folder });
    expect(made.stderr).toBe("");
    const packed = await runProgram("npm", ["pack", "--pack-destination", example]);
    expect(packed.exitCode).toBe(0);
    const name = packed.stdout.trim().split("\n").at(-1) ?? "";
    cpSync(join(example, name), join(project, name));

    const answers = await runStages(folder, join(repository, ".nffi/test/docker"), [
      { dockerfile: join(example, "Dockerfile"), context: example, meanwhile: ASK },
      {
        dockerfile: join(project, "Dockerfile"),
        context: project,
        meanwhile: `! [ -e /app/node_modules/typescript ]${ASK}`,
      },
    ]);
    expect(answers).toEqual(["hello World\n", "hello World\n"]);
    expect(readdirSync(example)).toContain("app");
    expect(existsSync(join(project, "node_modules"))).toBe(false);
  },
  900_000,
);
