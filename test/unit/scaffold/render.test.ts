import { join } from "node:path";
import { expect, test } from "vitest";
import { renderTemplate, TEMPLATE_VALUES } from "../../../src/scaffold/render.js";
import { readTemplate } from "../../../src/scaffold/template.js";
import { repository } from "../../support/cli.js";

const VALUES = { name: "other", port: 9001, runtimePath: '/with "quotes"/nffi/node' };

async function rendered(): Promise<Map<string, string>> {
  const template = await readTemplate(join(repository, "templates/typescript"));
  return new Map(renderTemplate(template, VALUES).map(({ path, text }) => [path, text]));
}

test("the name, the port and the runtime are those asked for, everywhere", async () => {
  const project = await rendered();
  const manifest = JSON.parse(project.get("package.json") ?? "");
  expect(manifest.name).toBe("other");
  expect(manifest.devDependencies["@nffi/runtime"]).toBe(`file:${VALUES.runtimePath}`);
  expect(project.get("nginx.conf")).toContain("listen 127.0.0.1:9001;");
  expect(project.get("README.md")).toContain("http://127.0.0.1:9001/hello");
  const all = [...project.values()].join("\n");
  expect(all).not.toContain(TEMPLATE_VALUES.name);
  expect(all).not.toContain(TEMPLATE_VALUES.runtimePath);
  expect(all).not.toContain(`:${TEMPLATE_VALUES.port}`);
});

test("npm would leave a .gitignore out, so the template's has no dot", async () => {
  const project = await rendered();
  expect([...project.keys()]).toContain(".gitignore");
  expect([...project.keys()]).not.toContain("gitignore");
});
