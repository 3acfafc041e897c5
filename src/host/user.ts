/** Users of this machine, as programs see them that run as one of them. */
import { run } from "../io/exec.js";
import { buildEnvironment, type Environment } from "./environment.js";

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** undefined when there is no such user. */
export async function findUser(name: string, env: Environment): Promise<User | undefined> {
  const numbers: number[] = [];
  for (const option of ["-u", "-g"]) {
    const command = { program: "id", args: [option, "--", name], env: buildEnvironment(env) };
    const { exitCode, stdout } = await run(command);
    if (exitCode !== 0) return undefined;
    numbers.push(Number(stdout.trim()));
  }
  const [uid = 0, gid = 0] = numbers;
  return { name, uid, gid };
}

/** True if the user may enter the directory; only root can ask. */
export async function mayEnter(folder: string, user: User, env: Environment): Promise<boolean> {
  const { exitCode } = await run({
    program: "sh",
    args: ["-c", 'test -r "$1" && test -x "$1"', "sh", folder],
    env: buildEnvironment(env),
    user,
  });
  return exitCode === 0;
}
