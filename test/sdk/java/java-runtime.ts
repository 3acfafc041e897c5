// Compiles Java of the tests against the jar of a prefix, in a directory that workers of every user
// can read.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "../../support/cli.js";

/** For runs of a second: the JVM's second compiler and its threads cost more than they give. */
export const FAST_JAVAC = ["-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC"];

export class JavaClasses {
  readonly folder = mkdtempSync(join(tmpdir(), "nffi-java-"));
  readonly classes = join(this.folder, "classes");
  readonly #prefix: string;

  /** `source`: a directory of packages, below the repository. */
  constructor(source: string, prefix: string) {
    this.#prefix = prefix;
    chmodSync(this.folder, 0o755);
    cpSync(join(repository, source), join(this.folder, "source"), { recursive: true });
    this.compile();
  }

  compile(): void {
    const source = join(this.folder, "source");
    const files = readdirSync(source, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".java"))
      .map((name) => join(source, name));
    const jar = join(this.#prefix, "nffi/java/nffi.jar");
    const options = [...FAST_JAVAC, "-Xlint:all", "-Werror", "-cp", jar, "-d", this.classes];
    execFileSync("javac", [...options, ...files], { stdio: ["ignore", "inherit", "inherit"] });
  }

  /** Changes a source file; `compile` makes it count. */
  edit(file: string, from: string, to: string): void {
    const path = join(this.folder, "source", file);
    writeFileSync(path, readFileSync(path, "utf8").replace(from, to));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
