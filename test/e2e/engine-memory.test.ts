// The shared memory of processes: little when they are idle, more under load, little again
// afterwards; and where there is none, a call fails and the worker lives on.
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content } from "../support/lua.js";
import { type Nginx, startNginx, until } from "../support/nginx.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";
import { preload } from "../support/preload.js";

const MiB = 1 << 20;

const MODULE = `
export const echo = (text: string) => text;
export const wait = (ms: number) => new Promise((done) => setTimeout(() => done("x".repeat(100_000)), ms));
`;

/** Bytes that the memory of all queues of an nginx takes; its keepers have it open. */
function bytesOfQueues(nginx: Nginx): number {
  const inodes = new Map<number, number>();
  for (const { pid } of nginx.family()) {
    for (const name of readdirSync(`/proc/${pid}/fd`)) {
      const path = `/proc/${pid}/fd/${name}`;
      try {
        if (!readlinkSync(path).startsWith("/memfd:nffi-queue")) continue;
        const { ino, blocks } = statSync(path);
        inodes.set(ino, blocks * 512);
      } catch {
        // closed since
      }
    }
  }
  return [...inodes.values()].reduce((sum, bytes) => sum + bytes, 0);
}

describe("shared memory of a process", () => {
  let nginx: Nginx;
  const folder = mkdtempSync(join(tmpdir(), "nffi-memory-"));
  const exhausted = join(folder, "exhausted");

  beforeAll(async () => {
    chmodSync(folder, 0o755); // workers run as another user
    const library = preload("exhausted", folder);
    const server = [
      content(
        "= /calls",
        `local rt = assert(nffi.load("node", { module = "module.ts",
             env = { LD_PRELOAD = "${library}", PRELOAD_EXHAUSTED = "${exhausted}" } }))
         local n, size, method = tonumber(ngx.var.arg_n), tonumber(ngx.var.arg_size), ngx.var.arg_m or "echo"
         local value = method == "wait" and size or ("y"):rep(size)
         local threads, failed = {}, {}
         for i = 1, n do
             threads[i] = ngx.thread.spawn(function()
                 local result, err, code = rt.methods[method](rt.methods, value)
                 if not result then failed[#failed + 1] = code .. ": " .. err
                 elseif method == "echo" and result ~= value then failed[#failed + 1] = "another value"
                 end
             end)
         end
         for i = 1, n do ngx.thread.wait(threads[i]) end
         ngx.say(#failed, " failed ", failed[1] or "")`,
      ),
      content("= /bytes", "ngx.print(nffi.metrics().runtimes[1].shared_bytes)"),
    ];
    nginx = await startNginx({
      prefix: await builtOpenresty(anySuite),
      files: { "module.ts": MODULE },
      server: server.join("\n"),
      main: "env PRELOAD_EXHAUSTED;",
      env: {
        PATH: process.env.PATH ?? "",
        LD_PRELOAD: library,
        PRELOAD_EXHAUSTED: exhausted,
      },
    });
  });

  afterAll(async () => {
    await nginx?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const calls = (n: number, size: number, method = "echo") =>
    nginx.get(`/calls?n=${n}&size=${size}&m=${method}`);

  const expectIdle = () =>
    until(
      () => bytesOfQueues(nginx) <= MiB,
      15_000,
      () => `${bytesOfQueues(nginx)} bytes when idle`,
    );

  test("is under 1 MiB when idle, grows with its load, and shrinks again", async () => {
    expect(await calls(1, 100)).toBe("0 failed \n");
    const idle = bytesOfQueues(nginx);
    expect(idle).toBeGreaterThan(MiB / 4);
    expect(idle).toBeLessThanOrEqual(MiB);
    expect(Number(await nginx.get("/bytes"))).toBeGreaterThan(idle - 16_384);
    expect(Number(await nginx.get("/bytes"))).toBeLessThanOrEqual(idle);

    expect(await calls(40, 100_000)).toBe("0 failed \n");
    expect(bytesOfQueues(nginx)).toBeGreaterThan(4 * MiB);
    await expectIdle();
    expect(Number(await nginx.get("/bytes"))).toBeLessThanOrEqual(MiB);
    expect(await calls(3000, 10)).toBe("0 failed \n");
    expect(await calls(3, 3 * MiB)).toBe("0 failed \n");
  });

  test("is not taken from calls that run, nor while others come and go", async () => {
    const waiting = calls(20, 4000, "wait");
    for (let i = 0; i < 30; i++) {
      expect(await calls(20, 30_000)).toBe("0 failed \n");
      await new Promise((done) => setTimeout(done, 70));
    }
    expect(await waiting).toBe("0 failed \n");
    await expectIdle();
  });

  test("where there is none, calls fail with a reason and work again later", async () => {
    await expectIdle();
    const workers = nginx.workers();
    writeFileSync(exhausted, "");
    try {
      // requests of the worker, then responses of the process
      expect(await calls(40, 100_000)).toMatch(/^[1-9]\d? failed no_memory: .*not enough memory/);
      expect(await calls(40, 1, "wait")).toMatch(/^[1-9]\d? failed runtime_error: .*no memory/);
      expect(await calls(1000, 10)).toBe("0 failed \n");
      expect(await calls(3000, 0)).toMatch(/failed no_memory/);
    } finally {
      rmSync(exhausted);
    }
    expect(await calls(40, 100_000)).toBe("0 failed \n");
    expect(await calls(3000, 10)).toBe("0 failed \n");
    expect(nginx.workers()).toEqual(workers);
    expect(nginx.errorLog()).not.toMatch(/exited on signal|restart/);
  });
});
