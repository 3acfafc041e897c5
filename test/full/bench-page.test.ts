// The HTML report of `nffi bench` in a real browser: it loads nothing else, has a bar for each
// figure, and follows the colours of the system.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCli } from "../support/cli.js";
import { builtOpenresty } from "../support/openresty.js";
import { temporaryFolderOfAll } from "../support/temporary.js";

/** Run in the page. */
const COLOURS = `(() => {
  const { backgroundColor: body, color: text } = getComputedStyle(document.body);
  return { body, text, bar: getComputedStyle(document.querySelector("rect.nffi")).fill };
})()`;

const html = join(temporaryFolderOfAll(), "report.html");
let browser: Browser | undefined;

beforeAll(async () => {
  const quick = ["--rounds", "1", "--ms", "20", "--cpus", "all", "--together", "1,8"];
  const made = await runCli([
    ...["bench", await builtOpenresty(), ...quick],
    ...["--lang", "typescript", "lua", "--html", html],
  ]);
  expect(made.stderr).toBe("");
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
});

afterAll(() => browser?.close());

test.each(["light", "dark"] as const)(
  "is drawn in %s colours, without a request",
  async (scheme) => {
    const page = await browser?.newPage({ colorScheme: scheme });
    if (page === undefined) throw new Error("no browser");
    const requests: string[] = [];
    const errors: string[] = [];
    page.on("request", (request) => requests.push(request.url()));
    page.on("console", (message) => errors.push(message.text()));
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(pathToFileURL(html).href);
    expect(requests).toEqual([pathToFileURL(html).href]);
    expect(errors).toEqual([]);

    // two payloads with one call and with eight, of four subjects
    const bars = page.locator("svg rect");
    expect(await bars.count()).toBe(4 * 4);
    for (const bar of await bars.all()) {
      expect((await bar.boundingBox())?.width).toBeGreaterThan(1);
    }
    const colours: { body: string; text: string; bar: string } = await page.evaluate(COLOURS);
    const sum = (colour: string) =>
      (colour.match(/\d+/g) ?? []).reduce((all, one) => all + +one, 0);
    const isDark = sum(colours.body) < sum(colours.text);
    expect(isDark).toBe(scheme === "dark");
    expect(colours.bar).not.toBe("rgb(0, 0, 0)");

    // a narrow window scrolls its plots and tables, not the page
    await page.setViewportSize({ width: 360, height: 700 });
    const root = "document.documentElement";
    const overflow = await page.evaluate(`${root}.scrollWidth - ${root}.clientWidth`);
    expect(overflow).toBe(0);
    await page.close();
  },
);
