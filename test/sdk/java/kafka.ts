// A Kafka of one node, broker and controller in one, from Maven's repository; ended with the test.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../../src/io/port.js";
import { repository } from "../../support/cli.js";
import { until } from "../../support/nginx.js";

const VERSION = "3.9.1";

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>example</groupId>
  <artifactId>broker</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-jdk14</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
`;

const SMALL_JVM = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

export class Kafka {
  readonly #folder = mkdtempSync(join(tmpdir(), "nffi-kafka-"));
  readonly #jars: string;
  #process: ChildProcess | undefined;

  private constructor(
    readonly port: number,
    controller: number,
  ) {
    this.#jars = `${jarsOfKafka()}/*`;
    writeFileSync(
      join(this.#folder, "server.properties"),
      [
        "process.roles=broker,controller",
        "node.id=1",
        `controller.quorum.voters=1@127.0.0.1:${controller}`,
        `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
        `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`,
        "controller.listener.names=CONTROLLER",
        `log.dirs=${this.#folder}/data`,
        "num.partitions=2",
        "offsets.topic.num.partitions=1",
        "offsets.topic.replication.factor=1",
        "group.initial.rebalance.delay.ms=0",
        "",
      ].join("\n"),
    );
    const format = ["format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", this.#configuration];
    const run = [...SMALL_JVM, "-cp", this.#jars, "kafka.tools.StorageTool"];
    execFileSync("java", [...run, ...format], { stdio: "pipe" });
  }

  static async start(): Promise<Kafka> {
    const kafka = new Kafka(await freePort(), await freePort());
    try {
      await kafka.start();
    } catch (thrown) {
      await kafka.remove();
      throw thrown;
    }
    return kafka;
  }

  get #configuration(): string {
    return join(this.#folder, "server.properties");
  }

  get #log(): string {
    return join(this.#folder, "kafka.log");
  }

  async start(): Promise<void> {
    const output = openSync(this.#log, "a");
    const args = [...SMALL_JVM, "-cp", this.#jars, "kafka.Kafka", this.#configuration];
    const kafka = spawn("java", args, { stdio: ["ignore", output, output] });
    closeSync(output);
    this.#process = kafka;
    await until(
      async () => {
        if (kafka.exitCode !== null) throw new Error(`Kafka did not start:\n${this.#logged()}`);
        return (await accepts(this.port)) && this.#logged().includes("Kafka Server started");
      },
      90_000,
      () => `Kafka does not answer:\n${this.#logged()}`,
    );
  }

  /** As if its machine had lost its power. */
  async kill(): Promise<void> {
    const kafka = this.#process;
    this.#process = undefined;
    if (!kafka || kafka.exitCode !== null || kafka.signalCode !== null) return;
    const ended = new Promise((done) => kafka.once("exit", done));
    kafka.kill("SIGKILL");
    await ended;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #logged(): string {
    return readFileSync(this.#log, "utf8");
  }
}

function jarsOfKafka(): string {
  const folder = join(repository, ".nffi/test/kafka", VERSION);
  const jars = join(folder, "jars");
  if (existsSync(join(folder, "complete"))) return jars;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "pom.xml"), POM);
  execFileSync("mvn", ["-q", "-B", "dependency:copy-dependencies", `-DoutputDirectory=${jars}`], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
  writeFileSync(join(folder, "complete"), "");
  return jars;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => done(true)).once("error", () => done(false));
    socket.once("connect", () => socket.destroy());
  });
}
