/** Copies a file and returns the SHA-256 of exactly the copied bytes. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { replaceWhenWritten } from "./files.js";

export function copyHashing(source: string, file: string): Promise<string> {
  return replaceWhenWritten(file, async (temp) => {
    const hash = createHash("sha256");
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        done(null, chunk);
      },
    });
    await pipeline(createReadStream(source), meter, createWriteStream(temp));
    return hash.digest("hex");
  });
}
