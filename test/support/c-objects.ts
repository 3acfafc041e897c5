// The calls between C files, according to the symbols of their object files.
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";

/** The objects below a directory, by relative path, each with the objects that it calls. */
export function callsBetweenObjects(folder: string, names = /\.o$/): Map<string, string[]> {
  const objects = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && names.test(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
  const wanted = new Map<string, string[]>();
  const homes = new Map<string, string>();
  const lines = execFileSync("nm", ["-P", "-A", ...objects], { cwd: folder, encoding: "utf8" });
  for (const [, object = "", symbol = "", kind = ""] of lines.matchAll(/^(\S+): (\S+) (\S)/gm)) {
    if (kind === "U") wanted.set(object, [...(wanted.get(object) ?? []), symbol]);
    if (/[TDBRVWC]/.test(kind)) homes.set(symbol, object);
  }
  return new Map(
    objects.map((object) => {
      const callees = (wanted.get(object) ?? []).map((symbol) => homes.get(symbol));
      const others = callees.filter((one) => one !== undefined && one !== object);
      return [object, [...new Set(others as string[])].sort()];
    }),
  );
}
