import { join } from "node:path";
import { expect, test } from "vitest";
import { LANGUAGES } from "../../../src/catalog/languages.js";
import { renderTemplate, TEMPLATE_VALUES } from "../../../src/scaffold/render.js";
import { readTemplate } from "../../../src/scaffold/template.js";
import { repository } from "../../support/cli.js";

const VALUES = {
  name: "other-one",
  port: 9001,
  source: { options: "--source official --openresty 1.21.4.1", suite: "bookworm", pcre: 1 },
} as const;

async function rendered({ templates } = LANGUAGES[0]): Promise<Map<string, string>> {
  const template = await readTemplate(join(repository, "templates"), templates);
  return new Map(renderTemplate(template, VALUES).map(({ path, text }) => [path, text]));
}

test.each(LANGUAGES.map((language) => [language.name, language] as const))(
  "%s: the name, the port and the source are those asked for, everywhere",
  async (_name, language) => {
    const project = await rendered(language);
    const all = [...project.keys(), ...project.values()].join("\n");
    expect(all).not.toMatch(/hello.runtime/);
    expect(all).toContain("other-one");
    expect(all).not.toContain(`:${TEMPLATE_VALUES.port}`);
    expect(project.get("nginx.conf")).toContain("listen 127.0.0.1:9001;");
    expect(project.get("README.md")).toContain("http://127.0.0.1:9001/hello");
    expect(project.get(".github/workflows/ci.yml")).toContain(
      `: ${VALUES.source.options} --prefix`,
    );
    expect(project.get("Dockerfile")).toContain(`nffi build ${VALUES.source.options} --prefix`);
    expect(all).not.toMatch(/trixie|libpcre2/);
    expect([...project.keys()].some((path) => /^(build|run)\//.test(path))).toBe(false);
  },
);

test.each(LANGUAGES.map((language) => [language.name, language] as const))(
  "%s: nffi is a file that git ignores, and no name that a package manager downloads",
  async (_name, language) => {
    const project = await rendered(language);
    const all = [...project.values()].join("\n");
    expect(project.get(".gitignore")?.split("\n")).toContain(".nffi/");
    expect(project.get(".dockerignore")?.split("\n")).toContain(".nffi");
    expect(all).not.toMatch(/\bnpx\b/);
    const installs = [...all.matchAll(/^.*\bnpm install --global.*$/gm)].map(([line]) => line);
    expect(installs.length).toBeGreaterThan(1);
    for (const line of installs) expect(line).toMatch(/ [/.]\S*\/?nffi(-\S+)?\.tgz\b/);
  },
);

test("npm would leave a .gitignore out, so the template's has no dot", async () => {
  const project = await rendered();
  expect([...project.keys()]).toContain(".gitignore");
  expect([...project.keys()]).not.toContain("gitignore");
});

test.each(LANGUAGES.map((language) => [language.name, language] as const))(
  "%s: each file comes from one directory of the templates",
  async (_name, { templates }) => {
    const template = await readTemplate(join(repository, "templates"), templates);
    const paths = template.map(({ path }) => path);
    expect(paths).toEqual([...new Set(paths)]);
    expect(paths).toContain("lua/failure.lua");
  },
);
