// Moves fields of nginx's core to where OpenResty's core has them: one more bit in ngx_event_t, and
// two more words in ngx_core_conf_t. An attached glue must find them in either.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const EDITS: readonly (readonly [file: string, before: string, after: string])[] = [
  [
    "src/event/ngx_event.h",
    "    unsigned         cancelable:1;\n",
    "    unsigned         test_bit:1;\n    unsigned         cancelable:1;\n",
  ],
  [
    "src/core/ngx_cycle.h",
    "    ngx_flag_t                master;\n",
    "    ngx_flag_t                master;\n    ngx_flag_t                test_words[2];\n",
  ],
  [
    "src/os/unix/ngx_process_cycle.c",
    "ngx_uint_t    ngx_process;\n",
    "ngx_uint_t    ngx_process;\nngx_uint_t    ngx_is_privileged_agent;\n",
  ],
];

/** `nginx`: the directory of nginx's source. */
export function withOpenrestyCore(nginx: string): void {
  for (const [path, before, after] of EDITS) {
    const file = join(nginx, path);
    const text = readFileSync(file, "utf8");
    if (text.split(before).length !== 2) throw new Error(`${path} has another text`);
    writeFileSync(file, text.replace(before, after));
  }
}
