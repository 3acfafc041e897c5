/** The public API: re-exports only. */

export { DEFAULT_RELEASE, RELEASES, type Release } from "./catalog/releases.js";
export { type ErrorCode, EXIT_CODES, NffiError } from "./errors.js";
export { build } from "./pipeline/build.js";
export { fetchArchive, type KeptArchive } from "./pipeline/fetch-only.js";
export { type Manifest, readManifest } from "./pipeline/manifest.js";
export { findProduct, type Product } from "./pipeline/product.js";
export { type Reporter, STEPS, type StepName } from "./pipeline/reporter.js";
export type {
  BuildRequest,
  FetchPolicy,
  Session,
  SourceRequest,
  TrustPolicy,
} from "./pipeline/request.js";
export { type ScaffoldedProject, type ScaffoldRequest, scaffold } from "./scaffold/scaffold.js";
