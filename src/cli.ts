/** The program: argv in, exit code out. */
export async function main(_argv: readonly string[]): Promise<number> {
  return 0;
}
