/** The components of an OpenResty source tree: the directories NAME-VERSION in its bundle/. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../errors.js";

export interface Component {
  readonly name: string;
  readonly version: string;
  readonly dir: string;
}

// Versions such as 0.10.30rc2 and 2.1-20230119 occur. A file nginx-1.2.3-no_pool.patch is beside
// the directories, but is not a component.
const FOLDER = /^(.+?)-v?(\d[\w.+~-]*)$/;

export async function listComponents(treeDir: string): Promise<Component[]> {
  const bundle = join(treeDir, "bundle");
  const components: Component[] = [];
  for (const entry of await readdir(bundle, { withFileTypes: true })) {
    const [, name, version] = (entry.isDirectory() && FOLDER.exec(entry.name)) || [];
    if (name && version) components.push({ name, version, dir: join(bundle, entry.name) });
  }
  return components.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The one component of that name. */
export function requireComponent(components: readonly Component[], name: string): Component {
  const found = components.filter((component) => component.name === name);
  const [only, second] = found;
  if (only && !second) return only;
  const problem = only
    ? `has ${found.length} directories bundle/${name}-VERSION`
    : `has no directory bundle/${name}-VERSION`;
  throw new NffiError("patch-failed", `the source ${problem}`, {
    hint: "nffi needs a complete, unmodified source of OpenResty",
  });
}
