/** Words of a shell's command line. */

/** The word as a POSIX shell reads it back, in quotes only where it needs them. */
export function shellWord(text: string): string {
  return /^[\w./:=@%+,-]+$/.test(text) ? text : shellQuoted(text);
}

/** The same, always in quotes. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function shellWords(words: readonly string[]): string {
  return words.map(shellWord).join(" ");
}

/** The words of a line, with single and double quotes and backslashes as in a shell. */
export function splitWords(line: string): string[] {
  const parts = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s'"\\]+)|(\s+)/gs;
  const words: string[] = [];
  let word: string | undefined;
  for (const [, single, double, escaped, plain, space] of line.matchAll(parts)) {
    if (space !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
      continue;
    }
    const text = double === undefined ? (single ?? escaped ?? plain) : unescaped(double);
    word = (word ?? "") + (text ?? "");
  }
  return word === undefined ? words : [...words, word];
}

function unescaped(text: string): string {
  return text.replace(/\\(["\\$`])/g, "$1");
}
