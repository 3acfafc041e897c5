/** Notes for the user about an assembled tree: shortcomings of the archive. */
export interface DebianNote {
  readonly kind:
    | "index-stale"
    | "no-security-suite"
    | "older-revision"
    | "series-missing"
    | "lua-package"
    | "extra-missing";
  /** The component it is about; absent when it is about the whole. */
  readonly component?: string;
  readonly text: string;
}

const IN_SHORT: Partial<Record<DebianNote["kind"], string>> = {
  "older-revision": "an older revision",
  "series-missing": "without Debian's security patches",
  "lua-package": "from the binary package",
  "extra-missing": "left out",
};

export interface SecurityGap {
  /** The name in bundle/; undefined where every component is concerned. */
  readonly component: string | undefined;
  readonly text: string;
}

/** Components that may lack a security fix that Debian has published. */
const GAPS: ReadonlySet<DebianNote["kind"]> = new Set([
  "older-revision",
  "series-missing",
  "no-security-suite",
]);

export function securityGapsOf(notes: readonly DebianNote[]): SecurityGap[] {
  const gaps = notes.filter(({ kind }) => GAPS.has(kind));
  return gaps.map(({ component, text }) => ({ component, text }));
}

export interface DebianWarning {
  readonly text: string;
  /** What `text` sums up, a line each. */
  readonly details: readonly string[];
}

/** Joins everything that the archive lacks into one line; other notes stay unchanged. */
export function warningsOf(notes: readonly DebianNote[], suite: string): DebianWarning[] {
  const lacks = notes.filter(({ kind }) => IN_SHORT[kind] !== undefined);
  const others = lacks.length > 1 ? notes.filter((note) => !lacks.includes(note)) : notes;
  const warnings = others.map(({ text }) => ({ text, details: [] as string[] }));
  if (lacks.length <= 1) return warnings;
  const kinds = [...new Set(lacks.map(({ kind }) => kind))];
  const groups = kinds.map((kind) => {
    const names = lacks.filter((note) => note.kind === kind).map(({ component }) => component);
    return `${IN_SHORT[kind]}: ${names.join(", ")}`;
  });
  const text =
    `the archive of ${suite} does not have all of ${lacks.length} packages; ` +
    `they are taken as they can be had (${groups.join("; ")})`;
  return [...warnings, { text, details: lacks.map((note) => note.text) }];
}
