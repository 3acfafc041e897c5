// Runs the steps of a Dockerfile without a container engine: the root of each stage is a writable
// layer over the file system of this machine, in namespaces of its own (mounts, network, processes),
// so that nothing of it stays and nothing of it can be reached from outside. Needs root.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "./cli.js";
import { compileCache } from "./compile-cache.js";

interface Instruction {
  readonly name: string;
  readonly text: string;
}

export interface DockerRun {
  readonly dockerfile: string;
  /** The build context. */
  readonly context: string;
  /** Where layers and cache mounts may lie; the caches stay between runs. */
  readonly caches: string;
  /** A shell script that runs beside CMD, in the root of the last stage. */
  readonly meanwhile: string;
}

/** Whether this machine lets us: root, namespaces, overlayfs. */
export function canRunStages(): boolean {
  const probe =
    "mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/m && mount -t overlay o -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m";
  return spawnSync("unshare", ["-mnp", "--fork", "sh", "-c", probe]).status === 0;
}

/** Runs all stages, then CMD of the last one; the output of `meanwhile`. */
export async function runStages(folder: string, run: DockerRun): Promise<string> {
  const instructions = instructionsOf(readFileSync(run.dockerfile, "utf8"));
  const script = join(folder, "stages.sh");
  writeFileSync(script, scriptOf(instructions, run));
  const result = await runProgram(
    "unshare",
    ["--mount", "--pid", "--fork", "--kill-child", "sh", "-eu", script],
    {
      cwd: folder,
      env: {
        ...{ HOME: "/root", NFFI_PREFIX: undefined, XDG_CACHE_HOME: undefined },
        ...compileCache("/root"),
      },
    },
  );
  if (result.exitCode === 0) return result.stdout;
  throw new Error(`exit code ${result.exitCode}\n${result.stdout}\n${result.stderr}`);
}

/** Comments are left out, lines that go on are joined. */
function instructionsOf(text: string): Instruction[] {
  const lines = text.replace(/^\s*#.*\n/gm, "").replace(/\\\n\s*/g, " ");
  return lines.split("\n").flatMap((line) => {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    return name !== undefined && rest !== undefined ? [{ name, text: rest }] : [];
  });
}

function scriptOf(instructions: readonly Instruction[], run: DockerRun): string {
  const stages: string[] = [];
  let folder = "/";
  const root = () => `/mnt/${stages.at(-1)}`;
  const inRoot = (command: string) =>
    `chroot ${root()} env -C ${folder} sh -c ${quoted(command)} >&2`;
  const lines = instructions.flatMap(({ name, text }) => {
    switch (name) {
      case "FROM": {
        stages.push(/ AS (\w+)$/.exec(text)?.[1] ?? `stage${stages.length}`);
        folder = "/";
        return newRoot(root());
      }
      case "RUN": {
        const [, target, command = text] =
          /^--mount=type=cache,target=(\S+)\s+(.*)$/.exec(text) ?? [];
        const cache = target && join(run.caches, encodeURIComponent(target));
        if (cache) mkdirSync(cache, { recursive: true });
        const bind = cache
          ? [`mkdir -p ${root()}${target}`, `mount --bind ${quoted(cache)} ${root()}${target}`]
          : [];
        return [...bind, inRoot(command), ...(target ? [`umount ${root()}${target}`] : [])];
      }
      case "COPY": {
        const [, stage, from = "", to = ""] = /^(?:--from=(\w+) )?(\S+) (\S+)$/.exec(text) ?? [];
        const source = stage ? `/mnt/${stage}${from}` : `${quoted(run.context)}/${from}`;
        // a folder is copied by its content, whatever is there
        return [
          `mkdir -p "$(dirname ${root()}${to})"`,
          `if [ -d ${source} ]; then mkdir -p ${root()}${to}; cp -a ${source}/. ${root()}${to}; else cp ${source} ${root()}${to}; fi`,
        ];
      }
      case "WORKDIR":
        folder = text;
        return [`mkdir -p ${root()}${folder}`];
      case "CMD": {
        const argv: string[] = JSON.parse(text);
        const program = argv.map(quoted).join(" ");
        // a network of its own: the port is free, and nobody else sees it
        const script = [
          "ip link set lo up",
          `chroot ${root()} env -C ${folder} ${program} >&2 &`,
          `chroot ${root()} sh -eu -c ${quoted(run.meanwhile)}`,
        ].join("\n");
        return [`unshare --net sh -eu -c ${quoted(script)}`];
      }
      case "EXPOSE":
      case "STOPSIGNAL":
        return [];
      default:
        throw new Error(`nobody has taught this how to do ${name}`);
    }
  });
  return ["mount -t tmpfs nffi-layers /mnt", ...lines, ""].join("\n");
}

/** A new layer over the machine's files, with the kernel's file systems in it. */
function newRoot(root: string): string[] {
  return [
    `mkdir -p ${root}.upper ${root}.work ${root}`,
    `mount -t overlay nffi-root -o lowerdir=/,upperdir=${root}.upper,workdir=${root}.work ${root}`,
    `mount -t proc proc ${root}/proc`,
    `mount --rbind /dev ${root}/dev`,
  ];
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
