// What Python in a worker must not disturb, and what it must bear: venvs, extension modules, the
// older configuration, signals, programs that Lua starts, crashes.
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content } from "../../support/lua.js";
import { type Nginx, until, withNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { call, makeVenv, optionsOf, pythonNginx, systemPython } from "./python.js";

let prefix: string;
let folder: string;
let venv: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
  folder = mkdtempSync(join(tmpdir(), "nffi-python-"));
  // the worker may be another user
  chmodSync(folder, 0o755);
  venv = makeVenv(join(folder, "venv"), "--without-pip", "--system-site-packages");
  const site = join(folder, "venv/lib", `python${versionOf(venv)}`, "site-packages");
  writeFileSync(join(site, "only_here.py"), "WORD = 'of the venv'\n");
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function versionOf(program: string): string {
  return run(program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])");
}

function run(program: string, ...args: string[]): string {
  return spawnSync(program, args, { encoding: "utf8" }).stdout.trim();
}

describe.each(["process", "worker"])("in the %s", (host) => {
  test("a virtual environment has its packages", async () => {
    const files = {
      "venv.py": "import only_here, sys\ndef word():\n    return [only_here.WORD, sys.prefix]\n",
    };
    const options = pythonNginx(prefix);
    await withNginx({ ...options, files: { ...options.files, ...files } }, async (nginx) => {
      const query = `&module=venv.py${optionsOf({ program: venv })}`;
      expect(await call(nginx, host, "word", query)).toEqual([
        ["of the venv", join(folder, "venv")],
      ]);
    });
  });

  test("extension modules work: numpy", async () => {
    await withNginx(pythonNginx(prefix), async (nginx) => {
      expect(await call(nginx, host, "numbers", "", 1000)).toEqual([
        { sum: 499500, list: [0, 1, 2] },
      ]);
    });
  });

  test("os.execute and io.popen return the same results as without Python", async () => {
    const results = `
      local lines = {}
      for i = 1, 20 do
          local pipe = io.popen("echo " .. i .. "; exit " .. i % 3)
          lines[#lines + 1] = pipe:read("*a")
          -- what it gives is luck in any nginx: its handler of SIGCHLD waits for all children
          pipe:close()
          lines[#lines + 1] = tostring(os.execute("exit " .. i % 3))
      end
      ngx.print(table.concat(lines, ";"))`;
    await withNginx(pythonNginx(prefix, content("/programs", results)), async (nginx) => {
      const before = await nginx.get("/programs");
      expect(await call(nginx, host, "hello", "", { name: "x" })).toHaveLength(1);
      const busy = call(nginx, host, "hog", "", 1);
      expect(await nginx.get("/programs")).toBe(before);
      await busy;
    });
  });

  test("a crash ends the process, or the worker that Python is in; both come back", async () => {
    await withNginx(pythonNginx(prefix), async (nginx) => {
      const workers = nginx.workers();
      await call(nginx, host, "seen");
      const crashed = call(nginx, host, "crash").catch(() => ["the connection is gone"]);
      if (host === "process") {
        expect((await crashed)[2]).toBe("runtime_down");
      } else {
        expect(await crashed).toEqual(["the connection is gone"]);
        await nginx.waitForLog("exited on signal 11");
      }
      await until(
        async () => {
          const answer = await call(nginx, host, "hello", "", { name: "x" }).catch(() => [null]);
          return answer[0] !== null;
        },
        20_000,
        () => nginx.errorLog(),
      );
      expect(JSON.stringify(nginx.workers()) === JSON.stringify(workers)).toBe(host === "process");
    });
  });
});

test("in the worker threads block no signal, and may not set a handler", async () => {
  await withNginx(pythonNginx(prefix), async (nginx) => {
    const [{ blocked, may }] = await call(nginx, "worker", "signals");
    // an empty list, which is an empty table in Lua
    expect(blocked).toEqual({});
    expect(may).toBe(false);
    nginx.signal("SIGUSR1");
    const [old = 0] = nginx.workers();
    await nginx.reload();
    await until(
      () => !nginx.workers().includes(old),
      10_000,
      () => nginx.errorLog(),
    );
    expect((await call(nginx, "worker", "hello", "", { name: "x" }))[0]).toMatchObject({
      greeting: "hello x",
    });
  });
});

describe("projects with modules of the same name in one worker", () => {
  const project = (module: string, word: string) => ({
    [module]: "def word():\n    import helper\n    return helper.WORD\n",
    [module.replace(/\w+\.py$/, "helper.py")]: `WORD = "${word}"\n`,
  });
  const files = {
    ...project("a/one.py", "of a"),
    ...project("b/two.py", "of b"),
    "b/setup.py": "",
    "c/three.py": "import ours.part\ndef word():\n    return ours.part.WORD\n",
    "c/ours/part.py": "WORD = 'of c'\n",
    "c/setup.py": "",
    "d/four.py": "import ours.other\ndef word():\n    return ours.other.WORD\n",
    "d/ours/other.py": "WORD = 'of d'\n",
    "e/five.py": "def word():\n    return 'of e'\n",
    "e/ours/part.py": "",
    "a/six.py": "import helper\ndef word():\n    return helper.WORD + ' again'\n",
  };
  const word = async (nginx: Nginx, module: string, host = "worker") =>
    (await call(nginx, host, "word", `&module=${module}`)).filter(
      (part: unknown, at: number) => at < 2 && part !== null,
    )[0];

  test("the second is refused with the reason, until the first is closed", async () => {
    const options = pythonNginx(prefix);
    await withNginx({ ...options, files: { ...options.files, ...files } }, async (nginx) => {
      expect(await word(nginx, "a/one.py")).toBe("of a");
      const refused = await word(nginx, "b/two.py");
      for (const part of [
        "b/two.py: ",
        `two modules named helper: ${nginx.dir}/b/helper.py and ${nginx.dir}/a/helper.py`,
        'host = "process"',
      ]) {
        expect(refused).toContain(part);
      }
      expect(await word(nginx, "b/two.py", "process")).toBe("of b");
      // the same directory, and others whose directories have nothing in common
      expect(await word(nginx, "a/six.py")).toBe("of a again");
      expect(await word(nginx, "c/three.py")).toBe("of c");
      // directories without an __init__ are one package together, as long as their modules differ
      expect(await word(nginx, "d/four.py")).toBe("of d");
      expect(await word(nginx, "e/five.py")).toContain("two modules named ours.part");
      expect(await word(nginx, "a/one.py")).toBe("of a");

      await nginx.get("/close?host=worker&module=a/one.py");
      expect(await word(nginx, "b/two.py")).toContain("a/helper.py");
      await nginx.get("/close?host=worker&module=a/six.py");
      await until(
        async () => (await word(nginx, "b/two.py")) === "of b",
        20_000,
        () => nginx.errorLog(),
      );
      expect(await word(nginx, "a/one.py")).toContain("b/helper.py");
    });
  });

  test("a helper that is mended is read again by the next try", async () => {
    const options = pythonNginx(prefix);
    const broken = {
      "a/one.py": "import helper\nWORD = helper.MISSING\ndef word():\n    return WORD\n",
    };
    await withNginx(
      { ...options, files: { ...options.files, ...files, ...broken } },
      async (nginx) => {
        expect(await word(nginx, "a/one.py")).toContain("MISSING");
        writeFileSync(join(nginx.dir, "a/helper.py"), "MISSING = 'found now'\n");
        await until(
          async () => (await word(nginx, "a/one.py")) === "found now",
          20_000,
          () => nginx.errorLog(),
        );
      },
    );
  });
});

// each version of the module keeps 20 MB, and refers to itself in many ways; malloc keeps a few of
// them
const LARGE = `
import asyncio, builtins, dataclasses, functools, logging, sys, threading, typing, weakref
import large_part

BLOB = b"x" * (20 << 20)
versions = builtins.__dict__.setdefault("large_versions", [])

@dataclasses.dataclass
class Point:
    x: int = 0
    more: typing.Optional["Point"] = None

versions.append(weakref.ref(Point))
local = threading.local()
log = logging.getLogger(__name__)

@functools.lru_cache
def cached(number):
    return [number, Point]

def use(point: typing.Optional[Point]):
    local.value = cached(1)
    log.info("used")
    return large_part.part(Point)

ASYNC def alive():
    return [version() is not None for version in builtins.large_versions]

ASYNC def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) // 256
`;

const LOOK = `
import builtins, importlib.util
def left():
    alive = [version() for version in builtins.large_versions]
    found = importlib.util.find_spec("large_part") is not None
    return {"alive": len(alive) - alive.count(None), "found": found}
`;

test.each(["", "async "])(
  "a reload frees the code of %sfunctions that it replaces",
  async (async) => {
    const options = pythonNginx(prefix);
    const files = {
      "look.py": LOOK,
      "large/large.py": LARGE.replaceAll("ASYNC ", async),
      "large/large_part.py": "BLOB = bytearray(1 << 20)\ndef part(of):\n    return [of.__name__]\n",
    };
    await withNginx({ ...options, files: { ...options.files, ...files } }, async (nginx) => {
      const ask = async (name: string) =>
        (await call(nginx, "worker", name, "&module=large/large.py"))[0];
      const reload = async () => {
        expect(await call(nginx, "worker", "use", "&module=large/large.py")).toEqual([["Point"]]);
        expect(await nginx.get("/reload?host=worker&module=large/large.py")).toBe("[true]");
      };
      await reload();
      const before = await ask("resident");
      for (let i = 0; i < 10; i++) await reload();
      // a thread may still hold the last version that was replaced
      const freed = JSON.stringify([...Array(11).fill(false), true]);
      const isFreed = async () => JSON.stringify(await ask("alive")) === freed;
      await until(isFreed, 5_000, () => "the code of an earlier version is still there");
      expect(await ask("resident")).toBeLessThan(before + 120);

      // what a closed runtime has imported is freed as well, and its directory is no longer
      // searched
      await nginx.get("/close?host=worker&module=large/large.py");
      const left = () => call(nginx, "worker", "left", "&module=look.py");
      await expect.poll(left, { timeout: 10_000 }).toEqual([{ alive: 0, found: false }]);
    });
  },
);

test("a worker with threads of Python and extension modules ends without a crash", async () => {
  await withNginx(pythonNginx(prefix), async (nginx) => {
    const [old] = nginx.workers();
    await call(nginx, "worker", "numbers", "", 1000);
    await call(nginx, "worker", "seen", "&module=aio.py");
    await nginx.reload();
    await nginx.waitForLog(`worker process ${old} exited with code 0`);
    expect(nginx.errorLog()).not.toMatch(/exited on signal|\[alert\]/);
  });
});

test("the functions of the public ABI load it by name, with both configurations", async () => {
  const server = content(
    "/old",
    `local prefix = ngx.config.prefix()
    local function say(runtime, err)
        if not runtime then return ngx.say(err) end
        local ok, response, err = runtime:any_name(ngx.var.arg_request)
        ngx.say(tostring(ok), " ", tostring(response), " ", tostring(err))
    end
    say(ngx.load_nonblocking_ffi("nffi_python", prefix .. "helper.py,shout,"))
    local old = assert(ngx.load_ffi("nffi_python", prefix .. "old.py,init,some, text"))
    assert(old:call('{"text": "' .. ("long"):rep(20) .. '"}'))
    ngx.say(select(2, old:call('{"text": "abc"}')))
    local cjson = require "cjson.safe"
    local runtime = assert(ngx.load_ffi("nffi_python", cjson.encode({ module = prefix .. "app.py",
        handler = "prefix", config = { prefix = "good day" } })))
    ngx.say(select(2, runtime:hello('{"name": "Ada"}')))
    say(ngx.load_ffi("nffi_python", "nothing"))
    say(ngx.load_ffi("nffi_python", prefix .. "old.py,missing,"))`,
  );
  await withNginx(pythonNginx(prefix, server), async (nginx) => {
    const lines = (await nginx.get("/old?request=abc")).split("\n");
    expect(lines.slice(0, 2)).toEqual(["true ABC nil", "some, text:abc"]);
    expect(JSON.parse(lines[2] ?? "")).toMatchObject({ greeting: "good day Ada" });
    expect(lines[3]).toContain("\"module,function,configuration\", but is 'nothing'");
    expect(lines[4]).toContain("unknown function 'missing'");
  });
});

test("bad options say what is wrong and what to do", async () => {
  const alone = join(folder, "alone/bin");
  const say = (options: string) =>
    `local nffi = require "resty.nffi"
    local ok, rt, err, code = pcall(nffi.load, "python", ${options})
    ngx.say(ok and tostring(code) .. " " .. tostring(err) or rt)`;
  const server = [
    content("/none", say("{}")),
    content("/host", say('{ module = "app.py", host = "moon" }')),
    content("/directory", say('{ module = "app.py", host = "worker", directory = "/" }')),
    content("/threads-option", say('{ module = "app.py", threads = 0 }')),
    content("/unknown", say('{ module = "app.py", thread = 1 }')),
    content(
      "/round",
      `local config = {} config.own = config ${say('{ module = "app.py", config = config }')}`,
    ),
    content("/program", say('{ module = "app.py", host = "worker", program = "/nowhere/python" }')),
    content("/long", say('{ module = "app.py", host = "worker", program = ("/x"):rep(2500) }')),
    content(
      "/escaped",
      String.raw`ngx.say(select(2, ngx.load_ffi("nffi_python",
          [[{ "module": "app.py", "program": "\u002fnowhere/\u00e9" }]])))`,
    ),
    content(
      "/alone",
      say(`{ module = "app.py", host = "worker", program = "${alone}/python3.99" }`),
    ),
    content("/other", say(`{ module = "app.py", host = "worker", program = "${venv}" }`)),
  ].join("\n");
  run("mkdir", "-p", alone);
  writeFileSync(join(alone, "python3.99"), "", { mode: 0o755 });
  await withNginx(pythonNginx(prefix, server), async (nginx) => {
    const says = async (path: string, text: string) =>
      expect(await nginx.get(path)).toContain(text);
    await says("/none", 'load("python") requires { module = "app.py" }');
    await says("/host", 'host must be "process" or "worker", got moon');
    await says("/directory", 'directory is an option of host = "process"');
    await says("/threads-option", "threads must be a whole number from 1 to 1024, got 0");
    await says("/unknown", 'unknown option "thread"; did you mean "threads"?');
    await says("/round", "cannot encode config: ");
    await says("/program", "load_failed ");
    await says("/program", "no Python that this user may run: /nowhere/python");
    await says("/long", "load_failed ");
    await says("/long", "is no path: it is empty, has a NUL or is longer than 4095 bytes");
    await says("/escaped", "no Python that this user may run: /nowhere/é;");
    await says("/alone", "has no shared library of Python: no libpython3.99.so.1.0 in");
    await says("/alone", 'host = "process"');
    expect((await call(nginx, "worker", "where"))[0].executable).toBe(systemPython);
    await says("/other", `this worker runs the Python of ${systemPython} already`);
  });
});

test("an event loop is closed with its runtime, and what runs on it beside the calls is cancelled", async () => {
  const files = {
    "background.py": `import asyncio
async def forever():
    try:
        await asyncio.sleep(3600)
    finally:
        print("background task has ended")
async def begin():
    background.append(asyncio.create_task(forever()))
    await asyncio.sleep(0)
background = []
`,
  };
  const server = content(
    "/turn",
    `local rt = assert(require("resty.nffi").load("python", { module = "background.py", host = "worker",
        program = "${systemPython}", config = { turn = ngx.var.arg_n } }))
    assert(select("#", rt.methods:begin()) == 1)
    rt:close()`,
  );
  const options = pythonNginx(prefix, server);
  await withNginx({ ...options, files: { ...options.files, ...files } }, async (nginx) => {
    const [worker = 0] = nginx.workers();
    const loops = () =>
      readdirSync(`/proc/${worker}/fd`).filter((fd) => {
        try {
          return readlinkSync(`/proc/${worker}/fd/${fd}`) === "anon_inode:[eventpoll]";
        } catch {
          return false;
        }
      }).length;
    const before = loops();
    for (let n = 1; n <= 5; n++) {
      await nginx.get(`/turn?n=${n}`);
      const ended = () => nginx.errorLog().split("background task has ended").length - 1;
      await until(
        () => ended() === n && loops() === before,
        10_000,
        () => `${loops()} descriptors of epoll, ${before} before\n${nginx.errorLog()}`,
      );
    }
  });
});

test("a runtime that names no program shares the interpreter of one that did", async () => {
  const load = (options: string) =>
    `local rt = assert(require("resty.nffi").load("python", ${options}))
    ngx.say(assert(rt.methods:where()).executable)`;
  const server = [
    content("/named", load(`{ module = "app.py", host = "worker", program = "${venv}" }`)),
    content("/unnamed", load('{ module = "app.py", host = "worker", config = { other = true } }')),
  ].join("\n");
  await withNginx(pythonNginx(prefix, server), async (nginx) => {
    expect(await nginx.get("/named")).toBe(`${venv}\n`);
    expect(await nginx.get("/unnamed")).toBe(`${venv}\n`);
  });
});

test("different options make another runtime, equal ones the same", async () => {
  const files = {
    "args.py": "import os, sys\ndef seen():\n    return [sys.flags.optimize, os.getpid()]\n",
  };
  const code = `local function seen(options)
        options.module, options.program = "args.py", "${systemPython}"
        return unpack(assert(assert(require("resty.nffi").load("python", options)).methods:seen()))
    end
    local function routes(n)
        -- tables that are walked in another order
        local route = {}
        for i = 1, n do route["x" .. i] = i end
        route.path, route.name, route.method, route.user = "/a", "b", "GET", "c"
        for i = 1, n do route["x" .. i] = nil end
        return { config = { routes = { route } } }
    end
    local plain, pid = seen({})
    local optimized, other = seen({ python_args = { "-O" } })
    local _, first = seen(routes(0))
    local _, second = seen(routes(100))
    ngx.print(plain, " ", optimized, " ", tostring(pid ~= other), " ", tostring(first == second))`;
  const options = pythonNginx(prefix, content("/", code));
  await withNginx({ ...options, files: { ...options.files, ...files } }, async (nginx) => {
    expect(await nginx.get("/")).toBe("0 1 true true");
  });
});

test("PYTHONPATH is searched in the worker; no other variable for Python is read", async () => {
  const variables = [
    "PYTHONHOME=/nowhere",
    "PYTHONHASHSEED=abc",
    "PYTHONMALLOC=foo",
    "PYTHONUTF8=7",
    "PYTHONTRACEMALLOC=x",
    "PYTHONINTMAXSTRDIGITS=1",
    "PYTHONWARNINGS=nonsense",
    "PYTHONIOENCODING=nonsense",
  ];
  const there = join(folder, "there");
  mkdirSync(there, { recursive: true });
  writeFileSync(join(there, "from_path.py"), "def word():\n    return 'found'\n");
  // one each, since the first that it reads would end the worker
  for (const variable of variables) {
    const options = pythonNginx(prefix);
    const main = `${options.main ?? ""} env ${variable}; env PYTHONPATH=/nowhere::${there};`;
    await withNginx({ ...options, main }, async (nginx) => {
      const workers = nginx.workers();
      const answer = await call(nginx, "worker", "word", "&module=from_path").catch(String);
      expect({ variable, answer }).toEqual({ variable, answer: ["found"] });
      expect(nginx.workers()).toEqual(workers);
    });
  }
});

test("an incomplete standard library is reported, and does not end the worker", async () => {
  const home = join(folder, "broken");
  const ask = (what: string) =>
    execFileSync(systemPython, ["-c", `import os, sys, sysconfig; print(${what})`], {
      encoding: "utf8",
    }).trim();
  const version = ask("'%d.%d' % sys.version_info[:2]");
  const library = `libpython${version}.so.1.0`;
  const standard = join(home, "lib", `python${version}`);
  mkdirSync(join(standard, "encodings"), { recursive: true });
  mkdirSync(join(home, "bin"));
  copyFileSync(ask("os.__file__"), join(standard, "os.py"));
  writeFileSync(join(standard, "encodings/__init__.py"), "import lost\n");
  copyFileSync(ask("os.path.realpath(sys.executable)"), join(home, `bin/python${version}`));
  symlinkSync(join(ask("sysconfig.get_config_var('LIBDIR')"), library), join(home, "lib", library));
  const code = `local rt, message, code = require("resty.nffi").load("python",
        { module = "app.py", host = "worker", program = "${home}/bin/python${version}" })
    if rt then message, code = select(2, rt.methods:hello({ name = "x" })) end
    ngx.print(tostring(code), " ", tostring(message))`;
  await withNginx(pythonNginx(prefix, content("/", code)), async (nginx) => {
    const workers = nginx.workers();
    expect(await nginx.get("/")).toMatch(
      /^runtime_error Python cannot start: .*Fatal Python error/,
    );
    expect(nginx.workers()).toEqual(workers);
  });
});

test("a site that leaves a program behind does not delay the start", async () => {
  const program = makeVenv(join(folder, "helped"), "--without-pip");
  const site = join(folder, "helped/lib", `python${versionOf(program)}`, "site-packages");
  const pid = join(folder, "helper.pid");
  writeFileSync(pid, "");
  chmodSync(pid, 0o666); // the worker may be another user
  // in the trial alone, not in the worker
  writeFileSync(join(site, "helped.pth"), "import helped\n");
  writeFileSync(
    join(site, "helped.py"),
    `import os, subprocess
if os.stat("${pid}").st_size == 0:
    with open("${pid}", "w") as file:
        file.write(str(subprocess.Popen(["sleep", "300"]).pid))
`,
  );
  await withNginx(pythonNginx(prefix), async (nginx) => {
    const query = `&module=app.py${optionsOf({ program })}`;
    try {
      // the trial times out after a minute
      const answer = await call(nginx, "worker", "hello", query, { name: "x" });
      expect(answer).toEqual([expect.objectContaining({ greeting: "hello x" })]);
    } finally {
      const helper = Number(readFileSync(pid, "utf8"));
      expect(helper).toBeGreaterThan(0);
      process.kill(helper);
    }
  });
}, 30_000);
