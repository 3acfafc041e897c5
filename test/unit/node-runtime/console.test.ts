import { expect, test } from "vitest";
import { markConsole, markLines } from "../../../src/node-runtime/console.js";

function markedConsole() {
  let out = "";
  const stream = {
    write: (chunk: string | Uint8Array) => {
      out += Buffer.from(chunk as string).toString();
      return true;
    },
    on() {},
  };
  const print = (text: string) => stream.write(`${text}\n`);
  const target = { trace: print, debug: print, info: print, log: print, warn: print, error: print };
  markConsole(target, [stream]);
  return { target, stream, text: () => out.replaceAll("\x01", "<").replaceAll("\x02", ">") };
}

test("each line of a text carries the level", () => {
  expect(markLines("warn", "a\nb\n")).toBe("\x01warn\x02a\n\x01warn\x02b\n");
  expect(markLines("warn", "a\n\nb")).toBe("\x01warn\x02a\n\x01warn\x02\n\x01warn\x02b\n");
  expect(markLines("warn", "")).toBe("\x01warn\x02\n");
});

test("the methods have their levels", () => {
  const { target, text } = markedConsole();
  for (const method of ["trace", "debug", "info", "log", "warn", "error"] as const) {
    target[method](method);
  }
  expect(text()).toBe(
    "<debug>trace\n<debug>debug\n<info>info\n<notice>log\n<warn>warn\n<error>error\n",
  );
});

test("what is written directly stays unmarked and never shares a line with a mark", () => {
  const { target, stream, text } = markedConsole();
  stream.write("one");
  target.warn("two");
  stream.write(Buffer.from("three\n"));
  target.warn("four");
  stream.write("");
  target.warn("five");
  expect(text()).toBe("one\n<warn>two\nthree\n<warn>four\n<warn>five\n");
});

test("a method that calls another keeps its own level, also after one that throws", () => {
  const { target, text } = markedConsole();
  const log = target.log;
  target.error = (line: string) => log(line);
  const calling = { ...target, trace: (line: string) => calling.error(line) };
  markConsole(calling, []);
  calling.trace("inner");
  expect(() => calling.warn(Symbol("no") as never)).toThrow();
  target.log("after");
  expect(text()).toBe("<notice>inner\n<notice>after\n");
});
