/** The public API: re-exports only. */
export { type ErrorCode, EXIT_CODES, NffiError } from "./errors.js";
