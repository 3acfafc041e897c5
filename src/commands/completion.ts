/** `nffi completion SHELL`: a script for the shell, made of the commands and options there are. */
import { Argument, type Command, type Option } from "commander";
import { LANGUAGES } from "../catalog/languages.js";
import { RELEASES } from "../catalog/releases.js";
import { shellQuoted } from "../io/shell-words.js";
import { DEBIAN_SUITES } from "../sources/debian/suites.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** Values of options that commander does not know; other values are possible as well. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  "--lang": LANGUAGES.map(({ name }) => name),
  "--openresty": RELEASES.map(({ version }) => version),
  "--source": ["auto", "official", "debian", ...DEBIAN_SUITES.map(({ name }) => `debian:${name}`)],
};

interface Words {
  readonly name: string;
  readonly description: string;
  readonly options: readonly Option[];
  /** Words that may follow it, such as `list` after `cache`. */
  readonly subcommands: readonly string[];
  /** Valid first arguments, if they are a list. */
  readonly choices: readonly string[];
}

/** `root` gets all commands before the script is asked for. */
export function completionCommand(context: CommandContext, root: Command): Command {
  return declared("completion")
    .addArgument(new Argument("<shell>", "bash, zsh or fish").choices(SHELLS))
    .action((shell: (typeof SHELLS)[number]) => {
      const names = root.commands.map((command) => command.name());
      const commands = root.commands.map((command) => ({
        name: command.name(),
        description: command.description(),
        subcommands: command.commands.map((sub) => sub.name()),
        choices:
          command.name() === "help" ? names : (command.registeredArguments[0]?.argChoices ?? []),
        options: optionsOf(command),
      }));
      for (const line of SCRIPTS[shell](commands)) context.print(line);
    });
}

/** Of a command and of those below it, such as `cache list`. */
function optionsOf(command: Command): Option[] {
  const all = [command, ...command.commands].flatMap((one) => one.options);
  const named = all.filter(({ long }) => long !== undefined);
  return [...new Map(named.map((option) => [option.long, option])).values()];
}

function valuesOf(option: Option): readonly string[] {
  return option.argChoices ?? VALUES[option.long ?? ""] ?? [];
}

const SCRIPTS = { bash, zsh, fish };

function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

const longs = (options: readonly Option[]) => options.map(({ long }) => long).join(" ");

/** Words as the user sees them: bash splits its own at the colon of `debian:trixie` and at `=`. */
const WHOLE_WORDS = `
  if [ -n "$COMP_LINE" ]; then
    local start="#{COMP_LINE:0:COMP_POINT}"
    word="#{start##*[[:space:]]}"
    start="#{start%"$word"}"
    start="#{start%"#{start##*[![:space:]]}"}"
    before="#{start##*[[:space:]]}"
  fi
  if [[ "$word" == --*=* ]]; then
    before="#{word%%=*}"
    word="#{word#*=}"
  fi`
  .replaceAll("#{", "$" + "{")
  .split("\n")
  .slice(1);

function bash(commands: readonly Words[]): string[] {
  const names = commands.map(({ name }) => name).join(" ");
  const cases = commands.flatMap(({ name, options, subcommands, choices }) => {
    const valued = options.filter(takesValue);
    const known = valued.filter((option) => valuesOf(option).length > 0);
    return [
      `    ${name})`,
      `      words="${longs(options)} --help"`,
      ...(subcommands.length > 0 ? [`      subcommands="${subcommands.join(" ")}"`] : []),
      ...(choices.length > 0 ? [`      choices="${choices.join(" ")}"`] : []),
      ...(valued.length > 0 ? [`      valued=" ${longs(valued)} "`] : []),
      ...(known.length > 0
        ? [
            '      case "$before" in',
            ...known.map(
              (option) => `        ${option.long}) values="${valuesOf(option).join(" ")}" ;;`,
            ),
            "      esac",
          ]
        : []),
      "      ;;",
    ];
  });
  return [
    "# nffi completion bash",
    "_nffi() {",
    '  local word="$2" before="$3" words="" valued="" values="" choices="" subcommands=""',
    ...WHOLE_WORDS,
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
    '  elif [ -n "$values" ]; then',
    '    COMPREPLY=($(compgen -W "$values" -- "$word"))',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is an expansion of the shell
    '    [ ${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "$word"))',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: they are expansions of the shell
    '    [[ "$word" == *:* ]] && COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*:}"}"}")',
    '  elif [[ "$word" == -* && "$valued" != *" $before "* ]]; then',
    '    COMPREPLY=($(compgen -W "$words" -- "$word"))',
    '  elif [ -n "$choices" ] && [ "$COMP_CWORD" -eq 2 ]; then',
    '    COMPREPLY=($(compgen -W "$choices" -- "$word"))',
    "  else",
    '    COMPREPLY=($(compgen -f -- "$word"))',
    "  fi",
    "}",
    "complete -o filenames -F _nffi nffi",
  ];
}

function zsh(commands: readonly Words[]): string[] {
  const described = (text: string) => text.replace(/[[\]:]/g, "\\$&");
  const zshValue = (option: Option) => {
    if (!takesValue(option)) return "";
    const values = valuesOf(option);
    return values.length === 0 ? ":value:_files" : `:value:(${values.map(described).join(" ")})`;
  };
  const cases = commands.flatMap(({ name, options, subcommands, choices }) => [
    `    ${name})`,
    "      _arguments \\",
    ...options.map(
      (option) =>
        `        ${shellQuoted(`*${option.long}[${described(option.description)}]${zshValue(option)}`)} \\`,
    ),
    subcommands.length + choices.length > 0
      ? `        '1:command:(${[...subcommands, ...choices].join(" ")})' '*:file:_files'`
      : "        '*:file:_files'",
    "      ;;",
  ]);
  return [
    "#compdef nffi",
    "_nffi() {",
    "  local -a commands",
    "  commands=(",
    ...commands.map(
      ({ name, description }) => `    ${shellQuoted(`${name}:${described(description)}`)}`,
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
      const values = valuesOf(option);
      const known = values.length > 0 ? ` -f -a ${quoted(values.join(" "))}` : "";
      const value = takesValue(option) ? ` -r${known}` : "";
      const seen = quoted(`__fish_seen_subcommand_from ${name}`);
      return `complete -c nffi -n ${seen} -l ${long}${value} -d ${quoted(option.description)}`;
    }),
  );
  const second = commands
    .filter(({ subcommands, choices }) => subcommands.length + choices.length > 0)
    .map(({ name, subcommands, choices }) => {
      const seen = quoted(`__fish_seen_subcommand_from ${name}`);
      const words = [...subcommands, ...choices].join(" ");
      return `complete -c nffi -n ${seen} -f -a ${quoted(words)}`;
    });
  return ["# nffi completion fish", ...first, ...second, ...options];
}
