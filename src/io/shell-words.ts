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
