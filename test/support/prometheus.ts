// A strict reader of Prometheus's text format 0.0.4: what it does not know, or finds in the wrong
// order, twice or inconsistent, it throws about.

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly samples: readonly Sample[];
}

export function parsePrometheus(text: string): Map<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const families = new Map<string, Family & { samples: Sample[] }>();
  const series = new Set<string>();
  let help: { name: string; text: string } | undefined;
  let family: (Family & { samples: Sample[] }) | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const about = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (about) {
      const [, word, name = "", rest = ""] = about;
      if (families.has(name)) throw new Error(`a second group of ${name}`);
      if (word === "HELP") {
        if (help) throw new Error(`HELP ${help.name} has no TYPE`);
        help = { name, text: rest };
        continue;
      }
      if (help?.name !== name) throw new Error(`TYPE ${name} without HELP before`);
      if (rest !== "counter" && rest !== "gauge" && rest !== "histogram") {
        throw new Error(`TYPE ${name} is ${rest}`);
      }
      if ((rest === "counter") !== name.endsWith("_total")) throw new Error(`${rest} ${name}`);
      family = { name, type: rest, help: help.text, samples: [] };
      families.set(name, family);
      help = undefined;
      continue;
    }
    if (help || !family) throw new Error(`out of place: ${line}`);
    const sample = sampleOf(line);
    const ending = sample.name.slice(family.name.length);
    const allowed = family.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
    if (!sample.name.startsWith(family.name) || !allowed.includes(ending)) {
      throw new Error(`${sample.name} in the group of ${family.name}`);
    }
    const id = `${sample.name}${JSON.stringify(Object.entries(sample.labels).sort())}`;
    if (series.has(id)) throw new Error(`twice: ${line}`);
    series.add(id);
    if (family.type === "counter" && sample.value < 0) throw new Error(`negative: ${line}`);
    family.samples.push(sample);
  }
  if (help) throw new Error(`HELP ${help.name} has no TYPE`);
  for (const each of families.values()) if (each.type === "histogram") checkHistogram(each);
  return families;
}

/** The one value with these labels among others. */
export function sampleValue(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>>,
): number {
  const samples = [...families.values()]
    .flatMap((family) => family.samples)
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([key, of]) => sample.labels[key] === of));
  if (samples.length !== 1) throw new Error(`${samples.length} samples of ${name}`);
  return samples[0]?.value ?? Number.NaN;
}

const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,(?!\})|(?=\}))/y;

function sampleOf(line: string): Sample {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0];
  if (!name) throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  let at = name.length;
  if (line[at] === "{") {
    LABEL.lastIndex = at + 1;
    while (line[LABEL.lastIndex] !== "}") {
      const found = LABEL.exec(line);
      if (!found) throw new Error(`bad labels: ${line}`);
      const [, key = "", value = ""] = found;
      if (key in labels) throw new Error(`label ${key} twice: ${line}`);
      labels[key] = value.replace(/\\(.)/g, (_, c: string) => (c === "n" ? "\n" : c));
      at = LABEL.lastIndex;
    }
    at = LABEL.lastIndex || at;
    at = line.indexOf("}", at) + 1;
  }
  const value = /^ (\+Inf|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/.exec(line.slice(at))?.[1];
  if (value === undefined) throw new Error(`bad value: ${line}`);
  return { name, labels, value: value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value) };
}

function checkHistogram(family: Family): void {
  const groups = new Map<string, Sample[]>();
  for (const sample of family.samples) {
    const { le: _, ...labels } = sample.labels;
    const key = JSON.stringify(Object.entries(labels).sort());
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  for (const samples of groups.values()) {
    const buckets = samples.filter(({ name }) => name.endsWith("_bucket"));
    const bounds = buckets.map(({ labels }) =>
      labels.le === "+Inf" ? Number.POSITIVE_INFINITY : Number(labels.le),
    );
    const rising = bounds.every((le, i) => i === 0 || le > (bounds[i - 1] ?? 0));
    const cumulative = buckets.every((b, i) => i === 0 || b.value >= (buckets[i - 1]?.value ?? 0));
    const counts = samples.filter(({ name }) => name.endsWith("_count"));
    const sums = samples.filter(({ name }) => name.endsWith("_sum"));
    if (!rising || !cumulative || bounds.at(-1) !== Number.POSITIVE_INFINITY) {
      throw new Error(`${family.name}: bad buckets`);
    }
    if (counts.length !== 1 || sums.length !== 1 || counts[0]?.value !== buckets.at(-1)?.value) {
      throw new Error(`${family.name}: bad sum or count`);
    }
  }
}
