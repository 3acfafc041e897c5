/** The program: argv in, exit code out. Holds the one try/catch and the signal handlers. */
import { Command, CommanderError } from "commander";
import type { CommandContext } from "./commands/context.js";
import { COMMAND_NAMES, declared } from "./commands/declared.js";
import { calledCommands, loadCommand } from "./commands/load.js";
import { EXIT_CODES, NffiError, toNffiError } from "./errors.js";
import { environment, isContinuousIntegration } from "./host/environment.js";
import { ownCommand } from "./host/own-command.js";
import { shipped, version } from "./host/package.js";
import { nearestWord } from "./io/nearest-word.js";
import { choose } from "./ui/choose.js";
import { wantsColour } from "./ui/colour.js";
import { confirm } from "./ui/confirm.js";

export async function main(argv: readonly string[]): Promise<number> {
  const abort = new AbortController();
  const stopListening = onSignals(abort);
  // Ignore EPIPE (`nffi build | head`): a closed stdout must not abort the build before cleanup.
  process.stdout.on("error", () => {});
  try {
    await program(argv, abort.signal);
    return 0;
  } catch (thrown) {
    // commander has printed what was wrong with the command line, or the help asked for
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : EXIT_CODES.usage;
    const error = toNffiError(abort.signal.aborted ? abort.signal.reason : thrown);
    const { errorText } = await import("./ui/error-text.js");
    process.stderr.write(
      await errorText(error, { coloured: colourOf(process.stderr), command: calledAs(argv) }),
    );
    return error.exitCode;
  } finally {
    stopListening();
  }
}

async function program(argv: readonly string[], signal: AbortSignal): Promise<void> {
  const cut = argv.indexOf("--");
  const before = cut < 0 ? argv : argv.slice(0, cut);
  const called = calledCommands(before.slice(2));
  const configures = called.some((name) => name === "build" || name === "cache");
  const own = configures ? before : argv;
  const configureArgs = configures && cut >= 0 ? argv.slice(cut + 1) : [];
  const context: CommandContext = {
    env: environment,
    cwd: workingDirectory(),
    nffi: calledAs(argv),
    signal,
    print: (line) => process.stdout.write(`${line}\n`),
    confirm: (question) => confirm(question, signal),
    choose: (question, choices) => choose(question, choices, signal),
    isTerminal: isTerminal(process.stdout),
  };
  const root = new Command("nffi")
    .description(
      "Lets Lua in nginx call TypeScript, Go, Rust, Python, Java and C without blocking: attaches to the nginx that is there, or builds an OpenResty.",
    )
    .version(version)
    // as in git and cargo; the arguments of a command that is not loaded are unknown
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .addHelpText("after", `\n${exitCodeHelp()}`);
  for (const name of COMMAND_NAMES) {
    const loading = { context, configureArgs, root };
    root.addCommand(called.includes(name) ? await loadCommand(name, loading) : declared(name));
  }
  root.addCommand(versionCommand(context)).addCommand(helpCommand(root));
  for (const command of allOf(root)) {
    command.exitOverride().configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, "nffi: ")),
    });
  }
  root.hook("preAction", (_root, command) => requireNoEmptyValue(command));
  await root.parseAsync([...own]);
}

function allOf(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allOf)];
}

/** `nffi version`, as git and cargo have it. */
function versionCommand(context: CommandContext): Command {
  return new Command("version")
    .description("print the version, as --version does")
    .action(() => context.print(version));
}

/** `nffi help COMMAND`; commander's own prints the general help for a word that is no command. */
function helpCommand(root: Command): Command {
  root.helpCommand(false);
  return new Command("help")
    .description("show the help of a command")
    .argument("[command...]", "such as build, or cache list")
    .action((words: string[]) => {
      let command = root;
      for (const word of words) {
        const next = command.commands.find((one) => one.name() === word);
        if (next === undefined) throw unknownCommand(word, command);
        command = next;
      }
      command.outputHelp();
    });
}

function unknownCommand(word: string, parent: Command): NffiError {
  const names = parent.commands.map((one) => one.name());
  const near = nearestWord(word, names);
  return new NffiError("usage", `unknown command "${word}"`, {
    hint: near === undefined ? `\`nffi --help\` lists the commands` : `did you mean ${near}?`,
  });
}

/** undefined after it was removed. */
function currentDirectory(): string | undefined {
  try {
    return process.cwd();
  } catch {
    return undefined;
  }
}

function workingDirectory(): string {
  const cwd = currentDirectory();
  if (cwd !== undefined) return cwd;
  throw new NffiError("usage", "the current directory does not exist", {
    hint: "change to another one: another program has removed it",
  });
}

function calledAs([, script = "nffi"]: readonly string[]): string {
  return ownCommand({
    env: environment,
    cwd: currentDirectory() ?? "/",
    script,
    root: shipped.root,
  });
}

/** An empty value is a variable of a script that was not set; no default is meant by it. */
function requireNoEmptyValue(command: Command): void {
  const option = command.options.find(
    (one) =>
      command.getOptionValueSource(one.attributeName()) === "cli" &&
      [command.getOptionValue(one.attributeName())].flat().includes(""),
  );
  const argument = command.registeredArguments[command.processedArgs.indexOf("")];
  const what = option?.long ?? (argument && `<${argument.name()}>`);
  if (what === undefined) return;
  throw new NffiError("usage", `${what} is empty`, {
    hint: "give it a value, or omit it to use its default",
  });
}

/** One on which rows can be redrawn; some pretend to have no columns at all. */
function isTerminal(stream: NodeJS.WriteStream): boolean {
  const { isTTY, columns } = stream;
  const isDumb = environment.TERM === "dumb" || isContinuousIntegration(environment);
  return isTTY === true && columns >= 40 && !isDumb;
}

function colourOf(stream: NodeJS.WriteStream): boolean {
  return wantsColour(environment, stream.isTTY === true);
}

/** The first signal ends the build in order; a second one is not waited for. */
function onSignals(abort: AbortController): () => void {
  const handlers = {
    SIGINT: () => end("interrupted", "interrupted (SIGINT)"),
    SIGTERM: () => end("terminated", "terminated (SIGTERM)"),
    SIGHUP: () => end("terminated", "terminated (SIGHUP, the terminal was closed)"),
  } as const;
  const end = (code: "interrupted" | "terminated", message: string) => {
    if (abort.signal.aborted) process.exit(EXIT_CODES[code]);
    abort.abort(new NffiError(code, message));
  };
  for (const [name, handler] of Object.entries(handlers)) process.on(name, handler);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) process.off(name, handler);
  };
}

function exitCodeHelp(): string {
  const rows = Object.entries(EXIT_CODES).map(
    ([name, code]) => `  ${String(code).padStart(3)}  ${name.replaceAll("-", " ")}`,
  );
  return ["Exit codes:", "    0  done", ...rows].join("\n");
}
