// A PostgreSQL server for the tests: its data and its socket are in a temporary directory.
// The server refuses to run as root, so root starts it as the user postgres of Debian's package.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../support/nginx.js";

export class Postgres {
  /** For libpq: where the server is, and as whom. */
  readonly conninfo: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "nffi-pg-"));
  #server: ChildProcess | undefined;

  constructor() {
    this.conninfo = `host=${this.#folder} dbname=postgres user=postgres`;
    if (process.getuid?.() === 0) execFileSync("chown", ["postgres", this.#folder]);
    chmodSync(this.#folder, 0o755);
    const options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"];
    const [program = "", ...args] = this.#command("initdb", "--no-sync", ...options);
    execFileSync(program, [...args, "-D", join(this.#folder, "data")], { stdio: "pipe" });
  }

  async start(): Promise<void> {
    const settings = ["fsync=off", "listen_addresses=", "max_connections=40"];
    const [program = "", ...args] = this.#command(
      "postgres",
      ...["-D", join(this.#folder, "data"), "-k", this.#folder],
      ...settings.flatMap((setting) => ["-c", setting]),
    );
    const server = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#server = server;
    let output = "";
    server.stderr.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    await until(
      () => output.includes("ready to accept connections"),
      30_000,
      () => `PostgreSQL does not start:\n${output}`,
    );
  }

  /** Stops immediately, like a crash: clients are disconnected, and the next start recovers. */
  async kill(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, "exit");
    server.kill("SIGQUIT");
    await ended;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Debian has a separate directory with the programs of each version. */
  #command(name: string, ...args: string[]): string[] {
    const [version] = readdirSync("/usr/lib/postgresql").sort((a, b) => Number(b) - Number(a));
    const command = [`/usr/lib/postgresql/${version}/bin/${name}`, ...args];
    if (process.getuid?.() !== 0) return command;
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", ...command];
  }
}
