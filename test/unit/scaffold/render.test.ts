import { join } from "node:path";
import { expect, test } from "vitest";
import { renderTemplate, TEMPLATE_VALUES } from "../../../src/scaffold/render.js";
import { readTemplate } from "../../../src/scaffold/template.js";
import { repository } from "../../support/cli.js";

const VALUES = { name: "other", port: 9001, packages: "/of=strange,look/nffi" };

async function rendered(language = "typescript"): Promise<Map<string, string>> {
  const template = await readTemplate(join(repository, "templates", language));
  return new Map(renderTemplate(template, VALUES).map(({ path, text }) => [path, text]));
}

test("the name, the port and the runtime are those asked for, everywhere", async () => {
  const project = await rendered();
  const manifest = JSON.parse(project.get("package.json") ?? "");
  expect(manifest.name).toBe("other");
  expect(manifest.devDependencies["@nffi/runtime"]).toBe(`file:${VALUES.packages}/node`);
  expect(project.get("nginx.conf")).toContain("listen 127.0.0.1:9001;");
  expect(project.get("README.md")).toContain("http://127.0.0.1:9001/hello");
  const all = [...project.values()].join("\n");
  expect(all).not.toContain(TEMPLATE_VALUES.name);
  expect(all).not.toContain(TEMPLATE_VALUES.packages);
  expect(all).not.toContain(`:${TEMPLATE_VALUES.port}`);
});

test("the same in Go", async () => {
  const project = await rendered("go");
  expect(project.get("go.mod")).toMatch(/^module example\.com\/other\n/);
  expect(project.get("go.mod")).toContain(`replace nffi => ${VALUES.packages}/go\n`);
  expect(project.get("main.go")).toContain('"example.com/other/handlers"');
  expect(project.get("nginx.conf")).toContain("listen 127.0.0.1:9001;");
  const all = [...project.values()].join("\n");
  expect(all).not.toContain(TEMPLATE_VALUES.name);
  expect(all).not.toContain(TEMPLATE_VALUES.packages);
  expect(all).not.toContain(`:${TEMPLATE_VALUES.port}`);
  expect([...project.keys()].some((path) => /^(build|run)\//.test(path))).toBe(false);
});

test("npm would leave a .gitignore out, so the template's has no dot", async () => {
  const project = await rendered();
  expect([...project.keys()]).toContain(".gitignore");
  expect([...project.keys()]).not.toContain("gitignore");
});
