// examples/python-pandas as its README describes, with Debian's pandas, in a process and a worker.
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { repository } from "../../support/cli.js";
import { codeBlocks } from "../../support/code-blocks.js";
import { failureLua, withPackagePath } from "../../support/failure-lua.js";
import { content } from "../../support/lua.js";
import { type Nginx, startNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { systemPython } from "./python.js";

const example = join(repository, "examples/python-pandas");

describe.each(["process", "worker"])("in the %s", (host) => {
  let nginx: Nginx;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "nffi-pandas-"));
    // the worker may be another user
    chmodSync(folder, 0o755);
    cpSync(example, folder, { recursive: true });
    const blocks = codeBlocks(join(example, "README.md"), "nginx");
    const [http = "", locations = ""] = blocks.map((code) =>
      code
        .replace("/path/to/examples/python-pandas/", `${folder}/`)
        .replace('folder .. "venv/bin/python"', `"${systemPython}", host = "${host}"`),
    );
    const reload = content("/reload", "assert(report():reload())");
    nginx = await startNginx({
      prefix: await builtOpenresty(),
      files: failureLua,
      http: withPackagePath(http),
      server: `${locations} ${reload}`,
    });
  });

  afterAll(async () => {
    await nginx?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const json = async (path: string) => JSON.parse((await nginx.request(path)).body);

  test("totals of groups, and errors that are logged", async () => {
    expect(await json("/totals?by=product")).toEqual([
      { name: "tea", count: 4, sum: 382, mean: 95.5, p95: 175 },
      { name: "cocoa", count: 2, sum: 234, mean: 117, p95: 173.7 },
      { name: "coffee", count: 3, sum: 207, mean: 69, p95: 113.8 },
    ]);
    expect((await json("/totals?by=region&since=2026-03-01"))[0]).toMatchObject({ name: "north" });
    for (const [query, reason] of [
      ["by=price", "sales are grouped by region or product, not by price"],
      ["by=region&since=never", "that is no day: never"],
    ] as const) {
      const failed = await nginx.request(`/totals?${query}`);
      expect([failed.status, failed.body]).toEqual([500, expect.not.stringContaining(reason)]);
      await nginx.waitForLog(new RegExp(`${reason} \\(runtime_error\\).*"GET /totals`));
    }
  });

  test("months come one by one", async () => {
    const lines = (await nginx.get("/months")).trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { month: "2026-01", total: 177, best: "tea" },
      { month: "2026-02", total: 282, best: "cocoa" },
      { month: "2026-03", total: 364, best: "tea" },
    ]);
  });

  test("a reload reads the file again", async () => {
    const file = join(folder, "sales.csv");
    writeFileSync(file, `${readFileSync(file, "utf8")}2026-04-01,east,salt,1,5\n`);
    await nginx.get("/reload");
    expect((await json("/totals?by=region")).at(-1)).toMatchObject({ name: "east", sum: 5 });
  });
});
