// Runs the steps of a Dockerfile without a container engine: the root of each stage is a writable
// layer over the file system of this machine, in new namespaces (mounts, network, processes), so
// that nothing remains and nothing is reachable from outside. Requires root.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { shellQuoted } from "../../src/io/shell-words.js";
import { runProgram } from "./cli.js";
import { compileCache } from "./compile-cache.js";

interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** What FROM begins: an image, the name of the stage, what is done in it. */
interface Stage {
  readonly image: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

export interface DockerRun {
  readonly dockerfile: string;
  /** The build context. */
  readonly context: string;
  /** A shell script that runs beside CMD, in the root of the last stage. */
  readonly meanwhile: string;
}

/** Whether this machine lets us: root, namespaces, overlayfs. */
export function canRunStages(): boolean {
  const probe =
    "mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w /mnt/m && mount -t overlay o -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m";
  return spawnSync("unshare", ["-mnp", "--fork", "sh", "-c", probe]).status === 0;
}

/**
 * Runs all stages of one Dockerfile after the other, and CMD of each one's last; the outputs of
 * `meanwhile`. A stage that an earlier one has made already, of the same image by the same
 * instructions with nothing but the package of nffi from its context, is not made again.
 * `caches`: the directory of cache mounts; they stay between runs.
 */
export async function runStages(
  folder: string,
  caches: string,
  runs: readonly DockerRun[],
): Promise<string[]> {
  const layers = new Map<string, string>();
  const parts = runs.map((run) => scriptOf(run, caches, layers));
  const script = join(folder, "stages.sh");
  const text = ["mount -t tmpfs nffi-layers /mnt", ...parts.map((lines) => lines.join("\n"))];
  writeFileSync(script, `${text.join(`\n`)}\n`);
  const result = await runProgram(
    "unshare",
    ["--mount", "--pid", "--fork", "--kill-child", "sh", "-eu", script],
    {
      cwd: folder,
      env: { HOME: "/root", NFFI_PREFIX: undefined, XDG_CACHE_HOME: undefined },
    },
  );
  if (result.exitCode === 0) return result.stdout.split(`${BETWEEN}\n`).slice(0, runs.length);
  throw new Error(`exit code ${result.exitCode}\n${result.stdout}\n${result.stderr}`);
}

/** A marker that is printed after each run. */
const BETWEEN = "=== that was one";

/** Comments are left out, lines that go on are joined. */
function instructionsOf(text: string): Instruction[] {
  const lines = text.replace(/^\s*#.*\n/gm, "").replace(/\\\n\s*/g, " ");
  return lines.split("\n").flatMap((line) => {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    return name !== undefined && rest !== undefined ? [{ name, text: rest }] : [];
  });
}

function stagesOf(instructions: readonly Instruction[]): Stage[] {
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  for (const one of instructions) {
    if (one.name !== "FROM") {
      stages.at(-1)?.instructions.push(one);
      continue;
    }
    const [, image = "", name] = /^(\S+)(?: AS (\w+))?$/.exec(one.text) ?? [];
    stages.push({ image, name, instructions: [] });
  }
  return stages;
}

/** Equal for stages that make the same layer; undefined: it depends on more than its text. */
function keyOf({ image, instructions }: Stage): string | undefined {
  const copies = instructions.filter(({ name }) => name === "COPY");
  if (!copies.every(({ text }) => text.startsWith("nffi-*.tgz "))) return undefined;
  return [image, ...instructions.map(({ name, text }) => `${name} ${text}`)].join("\n");
}

/** `layers`: the roots of stages that were made, by their key. */
function scriptOf(run: DockerRun, caches: string, layers: Map<string, string>): string[] {
  const rootOf = new Map<string, string>();
  const lines = stagesOf(instructionsOf(readFileSync(run.dockerfile, "utf8"))).flatMap((stage) => {
    const key = keyOf(stage);
    const made = key === undefined ? undefined : layers.get(key);
    const root = made ?? `/mnt/${layers.size}`;
    if (stage.name) rootOf.set(stage.name, root);
    if (made) return [];
    layers.set(key ?? root, root);
    const base = rootOf.get(stage.image);
    return linesOfStage(stage, root, { rootOf, base }, run, caches);
  });
  return [...lines, `echo ${shellQuoted(BETWEEN)}`];
}

function linesOfStage(
  stage: Stage,
  root: string,
  { rootOf, base }: { rootOf: ReadonlyMap<string, string>; base: string | undefined },
  run: DockerRun,
  caches: string,
): string[] {
  let folder = "/";
  const inRoot = (command: string) =>
    `chroot ${root} env -C ${folder} sh -c ${shellQuoted(command)} >&2`;
  const lines = stage.instructions.flatMap(({ name, text }) => {
    switch (name) {
      case "RUN": {
        const [, target, command = text] =
          /^--mount=type=cache,target=(\S+)\s+(.*)$/.exec(text) ?? [];
        const cache = target && join(caches, encodeURIComponent(target));
        if (cache) mkdirSync(cache, { recursive: true });
        const bind = cache
          ? [`mkdir -p ${root}${target}`, `mount --bind ${shellQuoted(cache)} ${root}${target}`]
          : [];
        return [...bind, inRoot(command), ...(target ? [`umount ${root}${target}`] : [])];
      }
      case "COPY": {
        const [, from, what = "", to = ""] = /^(?:--from=(\w+) )?(\S+) (\S+)$/.exec(text) ?? [];
        const source = from ? `${rootOf.get(from)}${what}` : `${shellQuoted(run.context)}/${what}`;
        // a directory is copied by its content, whatever is there
        return [
          `mkdir -p "$(dirname ${root}${to})"`,
          `if [ -d ${source} ]; then mkdir -p ${root}${to}; cp -a ${source}/. ${root}${to}; else cp ${source} ${root}${to}; fi`,
        ];
      }
      case "WORKDIR":
        folder = text;
        return [`mkdir -p ${root}${folder}`];
      case "CMD": {
        const argv: string[] = JSON.parse(text);
        const program = argv.map(shellQuoted).join(" ");
        // a separate network: the port is free, and invisible to other processes
        const script = [
          "ip link set lo up",
          `chroot ${root} env -C ${folder} ${program} >&2 &`,
          `chroot ${root} sh -eu -c ${shellQuoted(run.meanwhile)}`,
        ].join("\n");
        return [`unshare --net sh -eu -c ${shellQuoted(script)}`];
      }
      case "EXPOSE":
      case "STOPSIGNAL":
        return [];
      default:
        throw new Error(`nobody has taught this how to do ${name}`);
    }
  });
  return [...newRoot(root, base), ...lines];
}

/**
 * A new layer over the machine's files, or over what the stage `base` has changed in them, with the
 * kernel's file systems and ccache's objects in it.
 */
function newRoot(root: string, base: string | undefined): string[] {
  const lower = base ? `${base}.upper:/` : "/";
  const objects = shellQuoted(compileCache.CCACHE_DIR ?? "");
  return [
    `mkdir -p ${root}.upper ${root}.work ${root}`,
    `mount -t overlay nffi-root -o lowerdir=${lower},upperdir=${root}.upper,workdir=${root}.work ${root}`,
    `mount -t proc proc ${root}/proc`,
    `mount --rbind /dev ${root}/dev`,
    // what one stage or another test has compiled
    `mkdir -p ${objects} ${root}${objects}`,
    `mount --bind ${objects} ${root}${objects}`,
    // an image has the newest packages; with others than this machine's, nothing compiled would fit
    `echo 'APT::Get::Upgrade "false";' > ${root}/etc/apt/apt.conf.d/99nffi`,
  ];
}
