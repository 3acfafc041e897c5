import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packagesForOpenresty, requirePackages } from "../../../src/host/toolchain.js";
import { temporaryFolder } from "../../support/temporary.js";

/** A directory for PATH with make, nm and a compiler that finds only the headers named. */
function toolbox(headers: string[], programs = ["cc", "make", "nm"]): string {
  const folder = join(temporaryFolder(), "bin");
  mkdirSync(folder);
  for (const name of programs) {
    const found = headers.map((header) => `*'<${header}>'*) exit 0;;`).join(" ");
    writeFileSync(
      join(folder, name),
      `#!/bin/sh\ninput=$(/bin/cat)\ncase $input in ${found} *) exit 1;; esac\n`,
    );
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

const everyHeader = ["stdlib.h", "openssl/ssl.h", "zlib.h", "pcre2.h"];
const needed = packagesForOpenresty(2);

test("accepts a machine that has everything", async () => {
  await requirePackages(needed, [], { PATH: toolbox(everyHeader) });
});

test("names a missing compiler together with the headers that are missing", async () => {
  const noHeader = { debian: "libnowhere-dev", header: "nffi/nowhere.h" };
  await expect(
    requirePackages([...needed, noHeader], [], { PATH: toolbox([], ["make", "nm"]) }),
  ).rejects.toMatchObject({
    code: "toolchain-missing",
    // this machine has the other headers
    message: "missing on this machine: the C compiler cc, the header nffi/nowhere.h",
    hint: expect.stringMatching(/apt-get install \S+ gcc libnowhere-dev$/),
  });
});

test("says what to do where the distribution has no PCRE 1", async () => {
  const PATH = toolbox(["stdlib.h", "openssl/ssl.h", "zlib.h"]);
  await expect(requirePackages(packagesForOpenresty(1), [], { PATH })).rejects.toMatchObject({
    message: "missing on this machine: the header pcre.h",
    hint: expect.stringMatching(/libpcre3-dev\nDebian 13 has no libpcre3-dev .*--openresty 1\.27/),
  });
});

test("names all missing headers and programs with their Debian packages", async () => {
  const PATH = toolbox(["stdlib.h", "openssl/ssl.h"], ["cc", "nm"]);
  await expect(requirePackages(needed, [], { PATH })).rejects.toMatchObject({
    message: "missing on this machine: make, the header zlib.h, the header pcre2.h",
    hint: expect.stringMatching(/apt-get install \S+ make zlib1g-dev libpcre2-dev$/),
  });
});

test("does not ask for a library whose source configure gets", async () => {
  const PATH = toolbox(["stdlib.h"]);
  const args = ["--with-pcre=../pcre2", "--with-zlib=../zlib", "--with-openssl=../openssl"];
  await requirePackages(needed, args, { PATH });
});

test("looks for the compiler that CC names", async () => {
  const PATH = toolbox(everyHeader);
  symlinkSync(join(PATH, "cc"), join(PATH, "my-cc"));
  await requirePackages(needed, [], { PATH, CC: "my-cc -m64" });
  await expect(requirePackages(needed, [], { PATH, CC: "no-cc" })).rejects.toThrow("no-cc");
});
