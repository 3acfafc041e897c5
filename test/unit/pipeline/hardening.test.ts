// Which flags a build is hardened with, and that the user's own come last.
import { describe, expect, test } from "vitest";
import { shipped } from "../../../src/host/package.js";
import { compilationOf } from "../../../src/pipeline/compilation.js";
import { hardeningOf, weaknessesOf } from "../../../src/pipeline/hardening.js";
import { sitePaths } from "../../../src/pipeline/site.js";
import {
  configureArgsOf,
  configureEnvOf,
  makeEnvOf,
} from "../../../src/pipeline/steps/configure.js";
import { requestOf } from "../../support/build-request.js";

const site = sitePaths("/opt/openresty", "/var/tmp/work");
const compile = (given: Parameters<typeof requestOf>[0], env: Record<string, string> = {}) =>
  compilationOf(requestOf(given), shipped, site, env, { reason: "none" });

test.each([
  ["x64", "-fcf-protection"],
  ["arm64", "-mbranch-protection=standard"],
])("on %s jumps are protected by %s", (arch, flag) => {
  const { cFlags, ldFlags } = hardeningOf({ flavor: "release" }, {}, arch);
  expect(cFlags).toContain(flag);
  expect(cFlags).toContain("-fstack-protector-strong");
  expect(cFlags).toContain("-D_FORTIFY_SOURCE=2");
  expect(ldFlags).toEqual(["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]);
});

test.each(["debug", "asan"] as const)("the flavour %s is not hardened", (flavor) => {
  const compilation = compile({ flavor });
  const args = configureArgsOf([], requestOf({ flavor }), compilation, site, {});
  const env = {
    ...configureEnvOf(compilation, {}),
    ...makeEnvOf(requestOf({}), compilation, {}, {}),
  };
  expect([args, env].map((given) => JSON.stringify(given)).join()).not.toMatch(
    /stack-protector|FORTIFY|relro/,
  );
});

test.each([
  ["debug", "-O0"],
  ["asan", "-O1"],
] as const)("configure gets the level of the flavour %s last", (flavor, level) => {
  const compilation = compile({ flavor });
  expect(compilation.cFlags).toContain(level);
  const args = configureArgsOf([], requestOf({ flavor }), compilation, site, {});
  expect(args).toContain(`--with-cc-opt=${level}`);
});

describe("flags of the user", () => {
  test("come after ours", () => {
    const { cFlags, ldFlags } = compile({}, { CFLAGS: "-O1 -fno-stack-protector", LDFLAGS: "-lx" });
    expect(cFlags).toMatch(/-fstack-protector-strong .*-O1 -fno-stack-protector /);
    expect(ldFlags).toMatch(/-z,relro .* -lx$/);
    const configureArgs = ["--with-ld-opt=-Wl,-z,lazy"];
    const args = configureArgsOf([], requestOf({ configureArgs }), compile({}), site, {});
    const linked = args.filter((arg) => arg.startsWith("--with-ld-opt="));
    expect(linked[0]).toContain("-Wl,-z,now");
    expect(linked.at(-1)).toBe("--with-ld-opt=-Wl,-z,lazy");
  });

  test("replace our level of _FORTIFY_SOURCE, which must not be defined twice", () => {
    const { cFlags } = compile({}, { CFLAGS: "-O2 -D_FORTIFY_SOURCE=3" });
    expect(cFlags.match(/_FORTIFY_SOURCE\S*/g)).toEqual(["_FORTIFY_SOURCE=3"]);
  });
});

test("LuaJIT gets again what its Makefile turns off", () => {
  const env = configureEnvOf(compile({}), {});
  expect(env.TARGET_CFLAGS).toContain("-fstack-protector-strong");
  expect(env.TARGET_CFLAGS).toContain("-D_FORTIFY_SOURCE=2");
});

test("C libraries for Lua get the flags from make's environment, static libraries do not", () => {
  const none = { modules: [], dynamicModules: [], libraries: {} };
  const env = makeEnvOf(requestOf({ added: none }), compile({}), {}, { CPPFLAGS: "-DMINE" });
  expect(env.CPPFLAGS).toMatch(/-fstack-protector-strong .* -DMINE$/);
  expect(env.LDFLAGS).toContain("-z,now");
  const added = { ...none, libraries: { openssl: "/src/openssl" } };
  const configureArgs = ["--with-zlib=/src/zlib"];
  expect(makeEnvOf(requestOf({ added }), compile({}), {}, {}).CPPFLAGS).toBeUndefined();
  expect(makeEnvOf(requestOf({ configureArgs }), compile({}), {}, {}).CPPFLAGS).toBeUndefined();
});

test("names what the linker left unprotected", () => {
  const whole = ["pie", "relro", "bind-now", "noexecstack"] as const;
  expect(weaknessesOf({ "lib/a.so": whole, "bin/b": ["relro", "noexecstack"] })).toEqual([
    "bin/b: no pie, no bind-now",
  ]);
});
