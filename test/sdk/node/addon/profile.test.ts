// The inspector and profiles of a running process, on every Node.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { freePort } from "../../../../src/io/port.js";
import { commandLineOf } from "../../../support/processes.js";
import { temporaryFolder } from "../../../support/temporary.js";
import { installedNode, NODE_VERSIONS } from "../nodes.js";
import { fixture, Host, type HostOptions, stopHosts, untilTrue } from "./host.js";

afterEach(stopHosts);

const start = (options: HostOptions) => Host.start(fixture("busy-handler.mjs"), options);

interface CpuProfile {
  readonly nodes: readonly { readonly callFrame: { readonly functionName: string } }[];
}

/** The one file of this kind, once it is there. */
async function written(folder: string, extension: string): Promise<string> {
  const files = () => readdirSync(folder).filter((name) => name.endsWith(extension));
  await untilTrue(() => files().length > 0);
  return join(folder, files()[0] ?? "");
}

describe.each(NODE_VERSIONS)("Node %i", (version) => {
  const program = installedNode(version);

  test("SIGUSR2 twice writes a CPU profile, SIGHUP a heap snapshot, readable by the owner only", async () => {
    const folder = join(temporaryFolder(), "made/by/it");
    const host = await start({ program, profileFolder: folder });
    const pid = await host.pid;
    await host.json("keep");

    process.kill(pid, "SIGUSR2");
    await untilTrue(() => host.stderr.includes("a CPU profile was begun"));
    await host.json("primes", 100);
    process.kill(pid, "SIGUSR2");
    const cpu = await written(folder, ".cpuprofile");
    const { nodes } = JSON.parse(readFileSync(cpu, "utf8")) as CpuProfile;
    expect(nodes.map(({ callFrame }) => callFrame.functionName)).toContainEqual(
      // one may be compiled into the other
      expect.stringMatching(/^(primes|computesPrimes)$/),
    );

    process.kill(pid, "SIGHUP");
    const heap = await written(folder, ".heapsnapshot");
    expect(JSON.parse(readFileSync(heap, "utf8")).strings).toContain("ThingInTheHeap");
    for (const path of [cpu, heap]) {
      expect(path).toMatch(new RegExp(`/busy-handler\\.mjs-${pid}-\\d{8}T\\d{6}-\\d\\.`));
      expect(statSync(path).mode & 0o777).toBe(0o600);
      await untilTrue(() =>
        host.stderr.includes(`[notice] ${fixture("busy-handler.mjs")}: written: ${path}\n`),
      );
    }
    expect(readdirSync(folder)).toHaveLength(2);
  });

  test("a CPU profile under way is written when the process ends", async () => {
    const folder = temporaryFolder();
    const host = await start({ program, profileFolder: folder });
    process.kill(await host.pid, "SIGUSR2");
    await untilTrue(() => host.stderr.includes("a CPU profile was begun"));
    await host.json("primes", 100);
    host.close();
    await host.gone;
    const [name = "", ...others] = readdirSync(folder);
    expect(others).toEqual([]);
    expect(name).toMatch(/\.cpuprofile$/);
    const { nodes } = JSON.parse(readFileSync(join(folder, name), "utf8")) as CpuProfile;
    expect(nodes.length).toBeGreaterThan(1);
  });

  test("the inspector takes a separate port", async () => {
    const first = await freePort();
    const options = {
      program,
      inspect: { first, count: 1 },
      nodeArgs: ["--inspect-publish-uid=http"],
    };
    const host = await start(options);
    const url = /^\[notice] .*: the inspector listens on ws:\/\/127\.0\.0\.1:(\d+)\/\S+$/m;
    expect(url.exec(host.stderr)?.[1]).toBe(String(first));
    expect(host.stderr.trimEnd().split("\n")).toHaveLength(1);

    // taken: another one, also of a process of the same worker
    const second = await start(options);
    expect(Number(url.exec(second.stderr)?.[1])).not.toBe(first);
    const list = await fetch(`http://127.0.0.1:${url.exec(second.stderr)?.[1]}/json/list`);
    expect(await list.json()).toHaveLength(1);
  });
});

test("of several ports the first that is free", async () => {
  const taken = createServer();
  const first = await new Promise<number>((resolve) => {
    taken.listen(0, "127.0.0.1", () => resolve((taken.address() as { port: number }).port));
  });
  try {
    const host = await start({ inspect: { first, count: 20 } });
    const port = Number(/listens on ws:\/\/127\.0\.0\.1:(\d+)/.exec(host.stderr)?.[1]);
    expect(port).toBeGreaterThan(first);
    expect(port).toBeLessThan(first + 20);
  } finally {
    taken.close();
  }
});

test("each thread writes a separate profile", async () => {
  const folder = temporaryFolder();
  const host = await start({ threads: 2, profileFolder: folder });
  const pid = await host.pid;
  process.kill(pid, "SIGUSR2");
  await untilTrue(() => host.stderr.match(/thread \d: a CPU profile was begun/g)?.length === 2);
  await Promise.all([host.json("primes", 200), host.json("primes", 200)]);
  process.kill(pid, "SIGUSR2");
  await untilTrue(
    () => readdirSync(folder).filter((name) => name.endsWith("profile")).length === 2,
  );
  for (const name of readdirSync(folder)) {
    expect(name).toMatch(/-thread[12]-.*\.cpuprofile$/);
    expect(readFileSync(join(folder, name), "utf8")).toMatch(/"(primes|computesPrimes)"/);
  }
  process.kill(pid, "SIGHUP");
  await untilTrue(
    () => readdirSync(folder).filter((name) => name.endsWith("snapshot")).length === 2,
  );
});

test("a directory that is not writable is reported before the module is loaded", async () => {
  const file = join(temporaryFolder(), "file");
  writeFileSync(file, "");
  const host = new Host(fixture("busy-handler.mjs"), { profileFolder: join(file, "profiles") });
  expect(await host.started).toMatch(/: profile_dir \/.*\/file\/profiles: ENOTDIR/);
  await host.gone;
});

test("the process is found by its title", async () => {
  const host = await start({});
  expect(commandLineOf(await host.pid)).toContain("nffi: test");
});
