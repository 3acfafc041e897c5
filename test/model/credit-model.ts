// The credit of a stream, as a model: notes.c and stream.c of the runtime's side
// (credit-writer.ts), nffi_host_credit and nffi__host_note of the host's (credit-host.ts). One
// thread writes chunks and waits when the reader is behind; the host reads. wake-model.ts is about
// how the host is notified of chunks.
import { HOST_MOVES } from "./credit-host.js";
import { at, type CreditSetting, Turn, W, WORDS } from "./credit-state.js";
import { WRITER_MOVES } from "./credit-writer.js";
import type { Model, Move, State } from "./explore.js";

export function creditModel(setting: CreditSetting): Model {
  return {
    start: new Uint8Array(WORDS.length),
    moves(s) {
      const found: Move[] = [];
      const host = new Turn(s, "host", setting, found);
      const writer = new Turn(s, "writer", setting, found);
      HOST_MOVES[host.place]?.(host);
      WRITER_MOVES[writer.place]?.(writer);
      return found;
    },
    broken: () => undefined,
    badEnd,
  };
}

function badEnd(s: State): string | undefined {
  if (s[at.writer] !== W.over) return "a writer waits for ever";
  if ((s[at.read] as number) < (s[at.written] as number)) return "a chunk is not read";
  return undefined;
}
