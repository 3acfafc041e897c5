// System calls that a container may refuse (memfd, exec, fork, close_range, pidfd): load returns an
// error that names the call, leaves nothing behind and does not retry in a loop, or nffi uses
// another way that works as well. A library preloaded into nginx installs the seccomp filter.
import { execFileSync } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, type TestContext, test } from "vitest";
import { isDebian } from "../support/debian-product.js";
import { content } from "../support/lua.js";
import { type Nginx, until, withNginx } from "../support/nginx.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";
import { runtimesOf } from "../support/processes.js";
import { temporaryFolder } from "../support/temporary.js";

const FILTER = `
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

__attribute__((constructor)) static void refuse(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ERROR),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    {
        abort();
    }
}
`;

const MODULE = `
process.on("exit", () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  console.log("has tidied up");
});
export const pid = () => process.pid;
`;

/** Debian's nginx starts through a shell and unshare, which need these calls themselves. */
const OF_WRAPPER = ["execve", "prctl"];

/** Runs `use` with an nginx that may not use one system call. */
async function refusing(
  call: string,
  error: string,
  skip: TestContext["skip"],
  use: (nginx: Nginx) => Promise<void>,
): Promise<void> {
  const prefix = await builtOpenresty(anySuite);
  if (isDebian(anySuite) && OF_WRAPPER.includes(call)) skip("its start needs this call");
  const folder = temporaryFolder();
  const source = join(folder, "filter.c");
  const library = join(folder, "filter.so");
  writeFileSync(source, FILTER);
  execFileSync("cc", [
    ...["-shared", "-fPIC", `-DCALL=SYS_${call}`, `-DERROR=${error}`],
    ...["-o", library, source],
  ]);
  const server = [
    content(
      "= /pid",
      `local rt, err, code = nffi.load("node", { module = "module.mjs" })
       if not rt then ngx.say(show(err, code)) return end
       local pid, message, failed = rt.methods:pid()
       ngx.say(pid or show(message, failed))`,
    ),
  ].join("\n");
  const files = { "module.mjs": MODULE };
  // a single process, which need not fork to start
  const main = "master_process off;";
  const env = { PATH: process.env.PATH ?? "", LD_PRELOAD: library };
  await withNginx({ prefix, server, files, main, env }, use);
}

const open = (nginx: Nginx) => readdirSync(`/proc/${nginx.pid}/fd`).length;

test.for([
  ["memfd_create", "EPERM", /^no shared memory \(memfd\) .*\(1: Operation not permitted\)\|load_f/],
  ["execve", "EPERM", /cannot be started: exec\(".*"\) as user ".*" failed \(1: Operation not/],
  ["execve", "EACCES", /cannot be started: exec\(".*"\) as user ".*" failed \(13: Permission den/],
  ["clone", "EAGAIN", /cannot be started: fork\(".*"\) as user ".*" failed \(11: Resource temp/],
  ["setpgid", "EPERM", /cannot be started: setpgid\(".*"\) as user ".*" failed \(1: Operation not/],
] as const)(
  "%s refused with %s is a named error, without a loop or a leak",
  async ([call, error, words], { skip }) => {
    await refusing(call, error, skip, async (nginx) => {
      expect(await nginx.get("/pid")).toMatch(words);
      const before = open(nginx);
      for (let i = 0; i < 20; i++) expect(await nginx.get("/pid")).toMatch(words);
      await until(
        () => open(nginx) <= before,
        5_000,
        () => `${open(nginx)} descriptors are open, ${before} at first`,
      );
      // what the process itself meets is tried again after 0.1, 0.2, 0.4, ... s; the rest is not
      const again = nginx.errorLog().match(/is started again in \d+ ms/g) ?? [];
      expect(again.length).toBeLessThan(call === "setpgid" ? 6 : 1);
      await until(
        () => runtimesOf(nginx.pid).length === 0,
        5_000,
        () => "a process is left",
      );
    });
  },
);

test.for(["close_range", "pidfd_open", "pidfd_send_signal", "prctl", "sched_setaffinity"])(
  "%s refused is made up for: it starts, dies, is started again and awaited at the end",
  async (call, { skip }) => {
    await refusing(call, "EPERM", skip, async (nginx) => {
      const pid = Number(await nginx.get("/pid"));
      expect(pid).toBeGreaterThan(0);
      const sockets = readdirSync(`/proc/${pid}/fd`);
      expect(sockets.length).toBeLessThan(60);
      process.kill(pid, "SIGKILL");
      await until(
        async () => {
          const next = Number(await nginx.get("/pid"));
          return next > 0 && next !== pid;
        },
        10_000,
        () => "it does not come back",
      );
      nginx.signal("SIGQUIT");
      await until(
        () => nginx.process.exitCode !== null,
        4_000, // less than it waits for one that does not end
        () => `nginx does not end:\n${nginx.errorLog()}`,
      );
      expect(nginx.errorLog()).toContain("has tidied up");
    });
  },
);
