export function longLines(files: readonly string[]): string;
export function longLinesOf(file: string, text: string): string[];
