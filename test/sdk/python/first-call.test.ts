// The modules that a process of Python has imported for its first call: the time of a first call
// depends on the machine, their number does not.
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { withNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { call, pythonNginx, systemPython } from "./python.js";

const MODULE = `
import sys


def loaded(request):
    return list(sys.modules)
`;

test("a first call imports few modules, and not asyncio", async () => {
  const options = pythonNginx(await builtOpenresty());
  const files = { ...options.files, "loaded.py": MODULE };
  await withNginx({ ...options, files }, async (nginx) => {
    const [loaded] = await call(nginx, "process", "loaded", "&module=loaded.py");
    const program = "import sys; print(*sys.modules)";
    const bare = execFileSync(systemPython, ["-c", program], { encoding: "utf8" })
      .trim()
      .split(" ");
    const more = loaded.filter((name: string) => !bare.includes(name)).sort();
    expect(more).toContain("nffi.runtime");
    expect(more.join(" ")).not.toMatch(/\b(asyncio|concurrent|hashlib|socket|ssl)\b/);
    expect(more.length, more.join(" ")).toBeLessThanOrEqual(95);
  });
});
