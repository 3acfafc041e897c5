import { expect, test } from "vitest";
import { parseSettings, takeSettings } from "../../../src/node-runtime/settings.js";

test("the codec is json unless told otherwise, and there may be no configuration", () => {
  expect(parseSettings('{"module":"/m.ts"}')).toEqual({
    module: "/m.ts",
    codec: "json",
    config: null,
    threads: 0,
    name: "/m.ts",
  });
});

test("settings leave the environment when they are taken", () => {
  const environment = { NFFI_RUNTIME: "{}" };
  expect(takeSettings(environment)).toBe("{}");
  expect(environment).toEqual({});
  expect(() => takeSettings(environment)).toThrow(/started by an nginx worker/);
});

test.each([
  ["{", /not JSON/],
  ["null", /not a JSON object/],
  ["{}", /module must be an absolute path, but is undefined/],
  ['{"module":"m.ts"}', /but is "m.ts"/],
  ['{"module":"/m.ts","threads":0.5}', /threads must be a whole number, but is 0.5/],
  ['{"module":"/m.ts","codec":"xml"}', /codec must be "json" or "raw", but is "xml"/],
])("%s is refused", (text, message) => {
  expect(() => parseSettings(text)).toThrow(message);
});
