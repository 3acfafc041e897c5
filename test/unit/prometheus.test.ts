// The reader that the engine's tests trust: it must refuse what Prometheus would.
import { expect, test } from "vitest";
import { parsePrometheus, sampleValue } from "../support/prometheus.js";

const good = [
  "# HELP a_total Of a.",
  "# TYPE a_total counter",
  'a_total{x="1",y="a\\"b\\\\c\\nd"} 3',
  'a_total{x="2"} 4.5',
  "# HELP h_seconds Of h.",
  "# TYPE h_seconds histogram",
  'h_seconds_bucket{le="0.000001"} 1',
  'h_seconds_bucket{le="+Inf"} 2',
  "h_seconds_sum 0.5",
  "h_seconds_count 2",
  "",
].join("\n");

test("reads names, labels with escapes, and values", () => {
  const families = parsePrometheus(good);
  expect(families.get("a_total")?.samples[0]?.labels).toEqual({ x: "1", y: 'a"b\\c\nd' });
  expect(sampleValue(families, "a_total", { x: "2" })).toBe(4.5);
  expect(sampleValue(families, "h_seconds_bucket", { le: "+Inf" })).toBe(2);
});

test.each([
  ["an end without a newline", good.slice(0, -1)],
  ["a TYPE without HELP", good.replace("# HELP a_total Of a.\n", "")],
  ["a counter that is not called _total", good.replaceAll("a_total", "a")],
  ["a sample of another family", good.replace('a_total{x="2"}', 'b_total{x="2"}')],
  ["the same series twice", good.replace('x="2"', 'y="a\\"b\\\\c\\nd",x="1"')],
  ["a label that is not closed", good.replace('x="2"}', 'x="2}')],
  ["a label with a bad escape", good.replace("\\n", "\\t")],
  ["a comma before the end", good.replace('x="2"}', 'x="2",}')],
  ["a value that is no number", good.replace(" 4.5", " nan?")],
  ["buckets that fall", good.replace('le="0.000001"} 1', 'le="0.000001"} 3')],
  ["a histogram without +Inf", good.replace('h_seconds_bucket{le="+Inf"} 2\n', "")],
  ["a count that differs", good.replace("count 2", "count 3")],
  ["a second group of a family", `${good}# HELP a_total Again.\n# TYPE a_total counter\n`],
])("refuses %s", (_, text) => {
  expect(() => parsePrometheus(text)).toThrow();
});
