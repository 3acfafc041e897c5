/** What the user should know about an assembled tree: where the archive fell short of the best. */

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
