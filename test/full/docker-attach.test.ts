// The Dockerfiles of examples/docker-attach, step by step. The file system of this machine stands
// in for the images; an OpenResty without our patches stands in for the one of the official
// image, so its directory has another name here.
import { cpSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { ASK, packNffi } from "../support/docker-project.js";
import { canRunStages, runStages } from "../support/dockerfile.js";
import { temporaryFolder } from "../support/temporary.js";
import { unpatchedOpenresty } from "../support/unpatched-openresty.js";

const FILES = ["Dockerfile.debian", "Dockerfile.openresty"] as const;

test.runIf(canRunStages())(
  "nffi attaches to Debian's nginx and to an OpenResty in stages without a compiler, and answers",
  async () => {
    const prefix = realpathSync((await unpatchedOpenresty()).prefix);
    const folder = temporaryFolder();
    const context = join(folder, "example");
    cpSync(join(repository, "examples/docker-attach"), context, { recursive: true });
    await packNffi(context);
    // The stage `attach` finds no compiler, whatever this machine has.
    const hide = "RUN rm -f /usr/bin/*gcc* /usr/bin/*cc /usr/bin/make /usr/bin/c99 /usr/bin/c89";
    for (const file of FILES) {
      const text = readFileSync(join(context, file), "utf8")
        // Node is part of this machine, somewhere
        .replaceAll(/^COPY --from=node .*$/gm, "")
        .replaceAll("node /usr/local/lib/node_modules/npm/bin/npm-cli.js", "npm")
        .replaceAll("/usr/local/openresty", prefix)
        .replaceAll(/^(FROM \S+ AS attach)$/gm, `$1\n${hide}`)
        .replaceAll('["openresty"', `["${prefix}/bin/openresty"`)
        .replaceAll("&& openresty", `&& ${prefix}/bin/openresty`)
        .replaceAll(
          "nffi attach",
          `nffi attach${file.endsWith("resty") ? ` --nginx ${prefix}/bin/openresty` : ""}`,
        );
      writeFileSync(join(context, file), text);
    }
    const runs = FILES.map((file) => ({
      dockerfile: join(context, file),
      context,
      meanwhile: `[ ! -e /usr/local/lib/node_modules/nffi ]\n${ASK}`,
    }));
    const answers = await runStages(folder, join(repository, ".nffi/test/docker"), runs);
    expect(answers).toEqual(["hello World\n", "hello World\n"]);
  },
);
