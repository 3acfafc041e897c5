/** Debian's version numbers, `[epoch:]upstream[-revision]`, and their order (deb-version(7)). */

/** Negative when `a` is older than `b`, 0 when they are equal, positive when it is newer. */
export function compareDebianVersions(a: string, b: string): number {
  const [left, right] = [split(a), split(b)];
  return (
    left.epoch - right.epoch ||
    compareParts(left.upstream, right.upstream) ||
    compareParts(left.revision, right.revision)
  );
}

/**
 * The version of the program itself. Debian marks what it removed ("+dfsg"), and writes the date of
 * an OpenResty LuaJIT ("2.1-20250117") in ways that changed from suite to suite.
 */
export function upstreamVersion(version: string): string {
  const upstream = split(version).upstream.replace(/[+~]dfsg.*$/, "");
  const date = /^2\.1(?:\.0)?[-+](?:openresty)?(\d{8})$/.exec(upstream)?.[1];
  return date ? `2.1-${date}` : upstream;
}

function split(version: string): { epoch: number; upstream: string; revision: string } {
  const colon = version.indexOf(":");
  const epoch = colon < 0 ? 0 : Number(version.slice(0, colon));
  const rest = version.slice(colon + 1);
  const dash = rest.lastIndexOf("-");
  return dash < 0
    ? { epoch, upstream: rest, revision: "" }
    : { epoch, upstream: rest.slice(0, dash), revision: rest.slice(dash + 1) };
}

/** Compares runs of non-digits and of digits in turn. */
function compareParts(a: string, b: string): number {
  let [left, right] = [a, b];
  while (left !== "" || right !== "") {
    const [leftText, rightText] = [take(left, /^\D*/), take(right, /^\D*/)];
    const text = compareText(leftText, rightText);
    if (text !== 0) return text;
    [left, right] = [left.slice(leftText.length), right.slice(rightText.length)];

    const [leftDigits, rightDigits] = [take(left, /^\d*/), take(right, /^\d*/)];
    const number = Number(leftDigits) - Number(rightDigits);
    if (number !== 0) return number;
    [left, right] = [left.slice(leftDigits.length), right.slice(rightDigits.length)];
  }
  return 0;
}

function take(text: string, pattern: RegExp): string {
  return pattern.exec(text)?.[0] ?? "";
}

/** "~" sorts before the end of the text, that before letters, those before everything else. */
function compareText(a: string, b: string): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = weight(a[i]) - weight(b[i]);
    if (difference !== 0) return difference;
  }
  return 0;
}

function weight(character: string | undefined): number {
  if (character === undefined) return 0;
  if (character === "~") return -1;
  const code = character.charCodeAt(0);
  return /[A-Za-z]/.test(character) ? code : code + 256;
}
