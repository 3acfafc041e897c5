/**
 * The rest of an interrupted download: `FILE.part` with the bytes and `FILE.part.json` with the
 * validators of the remote file. Only such a pair is resumed.
 */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { flush, writeFileWhole } from "./files.js";
import type { Reply } from "./http.js";

export interface Partial {
  readonly file: string;
  /** 0 when there is nothing to resume. */
  bytes(): Promise<number>;
  /** Headers that ask for the rest, or for everything if the file has changed. */
  rangeHeaders(): Promise<Record<string, string>>;
  /** Before the first byte of a whole file is written. */
  begin(reply: Reply): Promise<void>;
  /** A hash that has seen the bytes that are there. */
  hash(): Promise<Hash>;
  /** Puts the complete file in its place. */
  place(file: string): Promise<void>;
  discard(): Promise<void>;
  /** Removes it unless another run can go on with it. */
  discardUnlessResumable(): Promise<void>;
}

export function partialOf(file: string, url: string): Partial {
  const part = `${file}.part`;
  const record = `${part}.json`;
  // The URL itself may contain a token, which must not be written to disk.
  const origin = createHash("sha256").update(url).digest("hex");

  const validator = async (): Promise<string | undefined> => {
    try {
      const known = JSON.parse(await readFile(record, "utf8"));
      return known.origin === origin ? known.validator : undefined;
    } catch {
      return undefined;
    }
  };
  const bytes = async () => {
    if ((await validator()) === undefined) return 0;
    return (await stat(part).catch(() => ({ size: 0 }))).size;
  };
  const discard = async () => {
    await rm(part, { force: true });
    await rm(record, { force: true });
  };
  return {
    file: part,
    bytes,
    rangeHeaders: async (): Promise<Record<string, string>> => {
      const known = await validator();
      const start = await bytes();
      if (known === undefined || start === 0) return {};
      return { range: `bytes=${start}-`, "if-range": known };
    },
    begin: async (reply) => {
      await discard();
      await mkdir(dirname(part), { recursive: true });
      const found = validatorOf(reply);
      if (found) await writeFileWhole(record, JSON.stringify({ origin, validator: found }));
    },
    hash: async () => {
      const hash = createHash("sha256");
      if ((await bytes()) === 0) return hash;
      for await (const chunk of createReadStream(part)) hash.update(chunk);
      return hash;
    },
    place: async (place) => {
      await flush(part);
      await rename(part, place);
      await discard();
    },
    discard,
    discardUnlessResumable: async () => {
      if ((await bytes()) === 0) await discard();
    },
  };
}

/** A weak ETag does not promise the same bytes, so RFC 9110 forbids it in If-Range. */
function validatorOf(reply: Reply): string | undefined {
  const etag = reply.header("etag");
  return etag?.startsWith('"') ? etag : reply.header("last-modified");
}
