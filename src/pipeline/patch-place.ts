/** Finds the component that a file of a user's patch belongs to, by the paths in the patch. */
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { NffiError } from "../errors.js";
import { kindOf } from "../io/files.js";
import type { Component } from "./components.js";
import type { SeriesPatch } from "./patch-series.js";
import { type FilePatch, tryPatch } from "./patches.js";

export interface PatchPlace {
  readonly component: Component;
  /** Below the component. */
  readonly file: string;
}

/**
 * `planned` has the texts that earlier patches will leave. A path may name the component
 * (a/bundle/nginx-1.27.1/src/x.c, nginx-1.27.1/src/x.c); else the one that has the file is taken,
 * and for a new file the one that the other files of the patch belong to.
 */
export async function findPlace(
  patch: SeriesPatch,
  filePatch: FilePatch,
  components: readonly Component[],
  planned: ReadonlyMap<string, string | undefined>,
): Promise<PatchPlace> {
  const named = placeNamed(filePatch, components);
  if (named) return named;
  const having = await placesHaving(filePatch, components);
  const fitting = having.length > 1 ? await fittingOf(having, filePatch, planned) : having;
  const [only, second] = fitting.length > 0 ? fitting : having;
  if (only && !second) return only;
  if (!only && filePatch.change === "create") {
    const beside = await placeBeside(patch, filePatch, components, planned);
    if (beside) return beside;
  }
  throw new NffiError(
    "patch-failed",
    only
      ? `${patch.name}: ${filePatch.path} fits ${fitting.length || having.length} components: ` +
          [...(fitting.length > 0 ? fitting : having)].map((one) => one.component.name).join(", ")
      : `${patch.name}: no component has the file ${filePatch.path}`,
    { hint: "name the component in the path: a/bundle/NAME-VERSION/FILE" },
  );
}

function placeNamed(filePatch: FilePatch, components: readonly Component[]) {
  const parts = filePatch.path.split("/");
  for (const [index, part] of parts.slice(0, -1).entries()) {
    const inBundle = parts[index - 1] === "bundle";
    const component = components.find(
      ({ name, dir }) => part === basename(dir) || (inBundle && part === name),
    );
    if (component) return { component, file: parts.slice(index + 1).join("/") };
  }
  return undefined;
}

async function placesHaving(
  filePatch: FilePatch,
  components: readonly Component[],
): Promise<PatchPlace[]> {
  const places: PatchPlace[] = [];
  for (const file of [filePatch.file, filePatch.path]) {
    for (const component of components) {
      if ((await kindOf(join(component.dir, file))) === "file") places.push({ component, file });
    }
    if (places.length > 0) break;
  }
  return places;
}

async function fittingOf(
  places: readonly PatchPlace[],
  filePatch: FilePatch,
  planned: ReadonlyMap<string, string | undefined>,
): Promise<PatchPlace[]> {
  const fitting: PatchPlace[] = [];
  for (const place of places) {
    const path = join(place.component.dir, place.file);
    const text = planned.get(path) ?? (await readFile(path, "utf8"));
    if (tryPatch(text, filePatch).kind !== "does not fit") fitting.push(place);
  }
  return fitting;
}

/** Where a new file goes: to the one component of the patch's other files, or of its directory. */
async function placeBeside(
  patch: SeriesPatch,
  filePatch: FilePatch,
  components: readonly Component[],
  planned: ReadonlyMap<string, string | undefined>,
): Promise<PatchPlace | undefined> {
  const others = patch.files.filter(({ change }) => change !== "create");
  const places = await Promise.all(
    others.map((other) => findPlace(patch, other, components, planned)),
  );
  const found = new Set(places.map(({ component }) => component));
  if (found.size === 0) {
    for (const component of components) {
      const folder = join(component.dir, dirname(filePatch.file));
      if ((await kindOf(folder)) === "directory") found.add(component);
    }
  }
  const [component, second] = found;
  return component && !second ? { component, file: filePatch.file } : undefined;
}
