/** One line of a checkup. */

export interface Finding {
  readonly name: string;
  /** "missing" keeps a build from working, "warning" may, "absent" is only good to know. */
  readonly status: "ok" | "missing" | "warning" | "absent";
  /** The result, or the problem and its solution. */
  readonly found: string;
  /** The Debian package that would bring it. */
  readonly debian?: string | undefined;
}

export function finding(
  status: Finding["status"],
  name: string,
  found: string,
  debian?: string,
): Finding {
  return { status, name, found, debian };
}
