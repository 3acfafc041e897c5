/** Describes a build without downloading or writing anything. */
import type { Environment } from "../host/environment.js";
import { findJdk, type Jdk, type NoJdk } from "../host/jdk.js";
import { requireShipped, type ShippedFiles } from "../host/package.js";
import { withoutSecrets } from "../io/http.js";
import type { Source } from "../sources/source.js";
import { requireAddedSources } from "./added-sources.js";
import { compilationOf } from "./compilation.js";
import { readSeries } from "./patch-series.js";
import type { BuildRequest } from "./request.js";
import { requireUsablePlaces, type SitePaths, sitePaths } from "./site.js";
import { configureArgsOf, configureEnvOf, makeEnvOf } from "./steps/configure.js";
import { glueEnvOf, libraryCommands } from "./steps/library.js";
import { chooseSource, describe } from "./steps/resolve.js";

export interface BuildPlan {
  readonly source: string;
  readonly downloads: readonly { readonly url: string; readonly sha256?: string | undefined }[];
  readonly patches: readonly {
    readonly name: string;
    readonly component: string | undefined;
    /** The patch is left out where the component has this version or a newer one. */
    readonly below: string | undefined;
    readonly sha256: string;
  }[];
  readonly commands: readonly PlannedCommand[];
  readonly prefix: string;
  readonly workDir: string;
}

export interface PlannedCommand {
  readonly step: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly argv: readonly string[];
}

export async function planBuild(
  request: BuildRequest,
  { env, shipped }: { readonly env: Environment; readonly shipped: ShippedFiles },
): Promise<BuildPlan> {
  requireUsablePlaces(request);
  await requireShipped(shipped);
  await requireAddedSources(request.added);
  const source = await chooseSource(request, env);
  const { patches } = await readSeries(shipped.patches, request.patches);
  const paths = sitePaths(request.prefix, request.workDir);
  return {
    source: describe(source),
    downloads: downloadsOf(source),
    patches: patches.map(({ name, component, below, sha256 }) => ({
      ...{ name, component, below, sha256 },
    })),
    commands: commandsOf(source, request, paths, shipped, env, await findJdk(env)),
    prefix: paths.prefix,
    workDir: paths.workDir,
  };
}

/** Debian's archives and their hashes are in its signed index, which is fetched first. */
function downloadsOf(source: Source): BuildPlan["downloads"] {
  switch (source.kind) {
    case "official":
      return source.urls.map((url) => ({
        url: withoutSecrets(url),
        sha256: source.release?.sha256,
      }));
    case "url":
      return [{ url: withoutSecrets(source.url), sha256: source.sha256 }];
    case "debian": {
      const { archive, suite } = source.resolved;
      const places = [archive.main, archive.updates, archive.security];
      const uris = new Set(places.flatMap((place) => place?.uris ?? []));
      const packages = suite.components.map((one) => one.source).join(", ");
      return [...uris].map((uri) => ({ url: `${withoutSecrets(uri)} (${packages})` }));
    }
    default:
      return [];
  }
}

function commandsOf(
  source: Source,
  request: BuildRequest,
  paths: SitePaths,
  files: ShippedFiles,
  env: Environment,
  jdk: Jdk | NoJdk,
): PlannedCommand[] {
  const jobs = `-j${request.jobs}`;
  const ofSource = source.kind === "debian" ? source.resolved.suite.configureArgs : [];
  const compilation = compilationOf(request, files, paths, env, jdk);
  const glueEnv = glueEnvOf(paths);
  const inTree = (step: string, argv: string[]) => ({
    step,
    folder: paths.treeDir,
    env:
      step === "configure"
        ? configureEnvOf(compilation, glueEnv)
        : makeEnvOf(request, compilation, glueEnv, env),
    argv,
  });
  return [
    ...libraryCommands(request, compilation, files, paths, env).map(({ program, args }) => ({
      step: "library",
      folder: files.root,
      env: compilation.env,
      argv: [program, ...args],
    })),
    inTree("configure", [
      "./configure",
      jobs,
      ...configureArgsOf(ofSource, request, compilation, paths, env),
    ]),
    inTree("make", ["make", jobs]),
    inTree("make install", ["make", "install", `DESTDIR=${paths.stageDir}`]),
  ];
}
