// A mixed load for a minute, or for NFFI_SOAK_SECONDS (3600 for an hour): memory and descriptors
// stay what they were, and each call returns exactly once.
//
//   NFFI_SOAK_SECONDS=3600 npx vitest run --project full test/full/soak.test.ts
import { beforeAll, expect, test } from "vitest";
import {
  badLines,
  load,
  type Memory,
  measureMemory,
  mixedLoad,
  SEED,
} from "../support/mixed-load.js";
import { withNginx } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";

const SECONDS = Number(process.env.NFFI_SOAK_SECONDS ?? 60);
const SLICES = SECONDS >= 600 ? 20 : 6;

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
});

test(
  "memory and descriptors stay what they were under a mixed load",
  async () => {
    await withNginx(mixedLoad(prefix, 1), async (nginx) => {
      const seen: Memory[] = [];
      let answered = 0;
      for (let slice = 0; slice < SLICES; slice++) {
        const seed = SEED + 1000 * slice;
        const loaded = await load(nginx, { seconds: SECONDS / SLICES, seed, gentle: true });
        answered += loaded.answered;
        expect([...loaded.statuses]).toEqual([200]);
        seen.push(await measureMemory(nginx));
        const line = Object.entries(seen.at(-1) ?? {}).map(([name, value]) => `${name} ${value}`);
        console.log(
          `soak: slice ${slice + 1} of ${SLICES}, ${answered} requests: ${line.join(", ")}`,
        );
      }
      expect(await nginx.get("/counts")).toMatch(/^0 of \d{3,}$/);
      expect(badLines(nginx)).toEqual([]);
      // the first slices fill pools and caches
      const [begin, end] = [seen[SLICES >> 1], seen[SLICES - 1]];
      if (begin === undefined || end === undefined) throw new Error("no slice");
      const growth = `seed ${SEED}: ${JSON.stringify(seen)}`;
      expect(end.lua - begin.lua, growth).toBeLessThan(1 << 20);
      expect(end.node - begin.node, growth).toBeLessThan(4 << 20);
      expect(end.resident - begin.resident, growth).toBeLessThan(12 << 20);
      expect(end.descriptors - begin.descriptors, growth).toBeLessThanOrEqual(8);
    });
  },
  (2 * SECONDS + 300) * 1000,
);
