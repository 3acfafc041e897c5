// Build requests for unit tests; options that a test does not set have the defaults of --help.

import { DIRECT } from "../../src/io/http.js";
import type { BuildRequest, FetchPolicy } from "../../src/pipeline/request.js";

export function requestOf(
  given: Partial<BuildRequest>,
  policy: Partial<FetchPolicy> = {},
): BuildRequest {
  return {
    release: undefined,
    source: "auto",
    sha256: undefined,
    mirrors: ["https://mirror.example/download/"],
    fetch: {
      network: DIRECT,
      offline: false,
      retries: 0,
      stallMs: 1000,
      cacheDir: "/nowhere",
      ...policy,
    },
    trust: { keyring: undefined, signer: "", skip: false, requireSecurityPatches: false },
    prefix: "/nowhere",
    overwriteForeign: false,
    workDir: "/nowhere",
    keep: "never",
    force: false,
    flavor: "release",
    added: { modules: [], dynamicModules: [], libraries: {} },
    jobs: 1,
    patches: [],
    configureArgs: [],
    ...given,
  };
}
