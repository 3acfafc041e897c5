import { expect, test } from "vitest";
import { requireCompiler } from "../../../src/attach/binaries.js";

test("a machine without prebuilt files and compiler gets both ways out", async () => {
  const refused = requireCompiler("this package was packed without them", { PATH: "/nowhere" });
  await expect(refused).rejects.toMatchObject({
    code: "toolchain-missing",
    message: expect.stringMatching(
      /^no prebuilt files for this machine: this package was packed without them; to compile: missing on this machine: the C compiler cc, /,
    ),
    hint: expect.stringMatching(
      /gcc[^\n]*\n(?:.*\n)*or pack nffi again where make, python3-pip and a JDK are installed$/,
    ),
  });
  await expect(requireCompiler(undefined, { PATH: "/nowhere" })).rejects.toThrow(/^missing on/);
});
