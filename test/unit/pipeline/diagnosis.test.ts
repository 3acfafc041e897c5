import { expect, test } from "vitest";
import { diagnosisOf } from "../../../src/pipeline/diagnosis.js";

const noise = Array.from({ length: 30 }, (_, index) => `cc -c file${index}.c`).join("\n");

test("shows the first error of the compiler with the lines around it", () => {
  const log = [noise, "a.c: In function 'f':", "a.c:3:5: error: one", "b.c:1:1: error: two"];
  const found = diagnosisOf(`${log.join("\n")}\nmake: *** [a.o] Error 1\n`);
  expect(found).toMatchObject({ error: "a.c:3:5: error: one", line: 32, firstLine: 28 });
  expect(found?.excerpt).toContain("a.c: In function 'f':");
  expect(found?.excerpt).toContain("b.c:1:1: error: two");
});

test("what make says is taken only when nothing else is there", () => {
  expect(diagnosisOf(`${noise}\nmake: *** No rule to make target 'x'.  Stop.`)).toMatchObject({
    error: "make: *** No rule to make target 'x'.  Stop.",
  });
  expect(diagnosisOf(noise)).toBeUndefined();
});

test.each([
  ["x.c:1:10: fatal error: openssl/ssl.h: No such file or directory", /openssl|libssl-dev/],
  ["x.c:1:10: fatal error: pcre2.h: No such file or directory", /pcre2/],
  ["/usr/bin/ld: cannot find -lz: No such file or directory", /zlib/],
  ["./configure: error: the HTTP gzip module requires the zlib library.", /zlib/],
  ["x.c:9: error: writing: No space left on device", /--work-dir on another disk/],
  ["gcc: fatal error: Killed signal terminated program cc1", /--jobs 1/],
  ["cc1: out of memory allocating 65536 bytes\nx: error: gone", /--jobs 1/],
  ["Illegal instruction (core dumped)", /-mno-sse4\.2/],
  ["(cannot be started: EACCES)", /noexec/],
  ["sh: 1: /tmp/x/conftest: Permission denied", /noexec/],
])("%s", (line, cure) => {
  const lines = line.split("\n").reverse().join("\n");
  expect(diagnosisOf(`${noise}\n${lines}\n`)?.cure).toMatch(cure);
});

test("a header that no table has gets no wrong cure", () => {
  const found = diagnosisOf("x.c:1:10: fatal error: mine.h: No such file or directory");
  expect(found).toMatchObject({ line: 1, cure: undefined });
});
