/** `nffi completion SHELL`: a script for the shell, made of the commands and options there are. */
import { Argument, Command, type Option } from "commander";
import type { CommandContext } from "./context.js";

const SHELLS = ["bash", "zsh", "fish"] as const;

interface Words {
  readonly name: string;
  readonly description: string;
  readonly options: readonly Option[];
  /** What may follow it, such as `list` after `cache`. */
  readonly subcommands: readonly string[];
}

/** `root` gets all commands before the script is asked for. */
export function completionCommand(context: CommandContext, root: Command): Command {
  return new Command("completion")
    .description("print a completion script: source <(nffi completion bash)")
    .addArgument(new Argument("<shell>", "bash, zsh or fish").choices(SHELLS))
    .action((shell: (typeof SHELLS)[number]) => {
      const commands = root.commands.map((command) => ({
        name: command.name(),
        description: command.description(),
        subcommands: command.commands.map((sub) => sub.name()),
        options: command.options.filter(({ long }) => long !== undefined),
      }));
      for (const line of SCRIPTS[shell](commands)) context.print(line);
    });
}

const SCRIPTS = { bash, zsh, fish };

/** An option that takes a value is followed by a file or folder, whatever else it may be. */
function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

const longs = (options: readonly Option[]) => options.map(({ long }) => long).join(" ");

function bash(commands: readonly Words[]): string[] {
  const names = commands.map(({ name }) => name).join(" ");
  const cases = commands.flatMap(({ name, options, subcommands }) => {
    const valued = options.filter(takesValue);
    return [
      `    ${name})`,
      `      words="${longs(options)} --help"`,
      ...(subcommands.length > 0 ? [`      subcommands="${subcommands.join(" ")}"`] : []),
      ...(valued.length > 0 ? [`      valued=" ${longs(valued)} "`] : []),
      "      ;;",
    ];
  });
  return [
    "# nffi completion bash",
    "_nffi() {",
    '  local word="$2" before="$3" words="" valued="" subcommands=""',
    "  COMPREPLY=()",
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W "${names} --help --version" -- "$word"))`,
    "    return",
    "  fi",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is an expansion of the shell
    '  case "${COMP_WORDS[1]}" in',
    ...cases,
    "  esac",
    '  if [ -n "$subcommands" ] && [ "$COMP_CWORD" -eq 2 ]; then',
    '    COMPREPLY=($(compgen -W "$subcommands $words" -- "$word"))',
    '  elif [[ "$word" == -* && "$valued" != *" $before "* ]]; then',
    '    COMPREPLY=($(compgen -W "$words" -- "$word"))',
    "  else",
    '    COMPREPLY=($(compgen -f -- "$word"))',
    "  fi",
    "}",
    "complete -o filenames -F _nffi nffi",
  ];
}

function zsh(commands: readonly Words[]): string[] {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const described = (text: string) => text.replace(/[[\]:]/g, "\\$&");
  const cases = commands.flatMap(({ name, options, subcommands }) => [
    `    ${name})`,
    "      _arguments \\",
    ...options.map((option) => {
      const value = takesValue(option) ? ":value:_files" : "";
      return `        ${quoted(`*${option.long}[${described(option.description)}]${value}`)} \\`;
    }),
    subcommands.length > 0
      ? `        '1:command:(${subcommands.join(" ")})' '*:file:_files'`
      : "        '*:file:_files'",
    "      ;;",
  ]);
  return [
    "#compdef nffi",
    "_nffi() {",
    "  local -a commands",
    "  commands=(",
    ...commands.map(
      ({ name, description }) => `    ${quoted(`${name}:${described(description)}`)}`,
    ),
    "  )",
    "  if (( CURRENT == 2 )); then",
    "    _describe 'command' commands",
    "    return",
    "  fi",
    "  local command=$words[2]",
    "  shift words",
    "  (( CURRENT-- ))",
    "  case $command in",
    ...cases,
    "  esac",
    "}",
    "compdef _nffi nffi",
  ];
}

function fish(commands: readonly Words[]): string[] {
  const quoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const first = commands.map(
    ({ name, description }) =>
      `complete -c nffi -n __fish_use_subcommand -f -a ${name} -d ${quoted(description)}`,
  );
  const options = commands.flatMap(({ name, options: own }) =>
    own.map((option) => {
      const long = (option.long ?? "").replace(/^--/, "");
      const value = takesValue(option) ? " -r" : "";
      const seen = quoted(`__fish_seen_subcommand_from ${name}`);
      return `complete -c nffi -n ${seen} -l ${long}${value} -d ${quoted(option.description)}`;
    }),
  );
  const second = commands
    .filter(({ subcommands }) => subcommands.length > 0)
    .map(({ name, subcommands }) => {
      const seen = quoted(`__fish_seen_subcommand_from ${name}`);
      return `complete -c nffi -n ${seen} -f -a ${quoted(subcommands.join(" "))}`;
    });
  return ["# nffi completion fish", ...first, ...second, ...options];
}
