import { expect, test } from "vitest";
import { parseSettings } from "../../../src/node-runtime/settings.js";

test("the codec is json by default, and there may be no configuration", () => {
  expect(parseSettings('{"module":"/m.ts"}')).toEqual({
    module: "/m.ts",
    codec: "json",
    config: null,
    threads: 0,
    name: "/m.ts",
  });
});

test("an error does not quote the settings, which may hold secrets", () => {
  const secret = "s3cret";
  for (const text of [secret, `{"config":"${secret}"`, `{"config":"x"} ${secret}`, `"${secret}"`]) {
    expect(() => parseSettings(text)).toThrow(/^invalid settings of the runtime: [^3]+$/);
  }
});

test.each([
  [undefined, /expected a JSON object/],
  ["{", /not JSON/],
  ["null", /expected a JSON object/],
  ["{}", /module must be an absolute path, but is undefined/],
  ['{"module":"m.ts"}', /but is "m.ts"/],
  ['{"module":"/m.ts","threads":0.5}', /threads must be a whole number, but is 0.5/],
  ['{"module":"/m.ts","codec":"xml"}', /codec must be "json" or "raw", but is "xml"/],
])("%s is refused", (text, message) => {
  expect(() => parseSettings(text)).toThrow(message);
});
