/** The public API: re-exports only. */
export { fetchArchive, type KeptArchive } from "./build/fetch-only.js";
export { type Manifest, readManifest } from "./build/manifest.js";
export { build } from "./build/pipeline.js";
export { findProduct, type Product } from "./build/product.js";
export { type Reporter, STEPS, type StepName } from "./build/reporter.js";
export type {
  BuildRequest,
  FetchPolicy,
  Session,
  SourceRequest,
  TrustPolicy,
} from "./build/request.js";
export { DEFAULT_RELEASE, RELEASES, type Release } from "./catalog/releases.js";
export { type ErrorCode, EXIT_CODES, NffiError } from "./errors.js";
export { type ScaffoldedProject, type ScaffoldRequest, scaffold } from "./scaffold/scaffold.js";
