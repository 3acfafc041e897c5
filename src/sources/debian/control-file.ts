/**
 * Debian's control file format (deb822), which apt uses for sources and packages: paragraphs of
 * `Field: value`, where a line that starts with a blank continues the value.
 */

/** Field names in lower case; continuation lines are joined by a newline, without the blank. */
export type Paragraph = ReadonlyMap<string, string>;

export function parseControlFile(text: string): Paragraph[] {
  const paragraphs: Paragraph[] = [];
  let current = new Map<string, string>();
  let field: string | undefined;

  for (const line of [...text.split("\n"), ""]) {
    if (line.startsWith("#")) continue;
    if (line.trim() === "") {
      if (current.size > 0) paragraphs.push(current);
      current = new Map();
      field = undefined;
      continue;
    }
    if (/^[ \t]/.test(line)) {
      if (field !== undefined) current.set(field, `${current.get(field) ?? ""}\n${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    field = line.slice(0, colon).trim().toLowerCase();
    current.set(field, line.slice(colon + 1).trim());
  }
  return paragraphs;
}

/** The words of a field; none if the field is absent. */
export function words(paragraph: Paragraph, field: string): string[] {
  return (paragraph.get(field) ?? "").split(/\s+/).filter((word) => word !== "");
}

/** One paragraph as text; a value of several lines is indented again. */
export function renderParagraph(fields: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(fields)
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .map(([name, value]) => `${name}: ${value.replaceAll("\n", "\n ")}\n`)
    .join("");
}
