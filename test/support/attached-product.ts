// An nginx that nffi did not build, with nffi attached: the second product that the end-to-end
// tests of the engine run on (NFFI_TEST_SUITES=trixie-attached).
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./cli.js";

/** What the Lua code reads of the manifest (src/pipeline/manifest.ts). */
export interface ProvenNginx {
  readonly core?: string;
  readonly openresty?: boolean;
  readonly ngxLua?: string;
  readonly buildId?: string;
  readonly ngxLuaBuildId?: string;
}

/** Compiles the glue against the headers of some nginx; returns its path. */
export function compiledGlue(includes: readonly string[], folder: string): string {
  mkdirSync(folder, { recursive: true });
  const variables = [
    `BUILD_DIR=${folder}`,
    `NGINX_INCS=${includes.map((i) => `-I${i}`).join(" ")}`,
  ];
  execFileSync("make", ["-s", "-j2", "-C", join(repository, "c-src"), "glue", ...variables], {
    env: { ...process.env, PATH: `/usr/lib/ccache:${process.env.PATH}` },
    stdio: ["ignore", "inherit", "inherit"],
  });
  return join(folder, "libnffi_glue.so");
}

/** Lays out the parts of `built` that are ours in `prefix`, with the glue. */
export function layOutAttached(
  built: string,
  glue: string,
  prefix: string,
  nginx: ProvenNginx = {},
): void {
  rmSync(join(prefix, "nffi"), { recursive: true, force: true });
  cpSync(join(built, "nffi"), join(prefix, "nffi"), { recursive: true, verbatimSymlinks: true });
  cpSync(glue, join(prefix, "nffi/lib/libnffi_glue.so"));
  const lua = join(prefix, "lualib");
  for (const path of ["resty/nffi", "resty/nffi.lua", "resty/core/nonblocking_ffi.lua"]) {
    const from = join(repository, "lua", path);
    cpSync(from, join(lua, path), {
      recursive: true,
      filter: (file) => !/\.[a-z]+$/.test(file) || file.endsWith(".lua"),
    });
  }
  cpSync(join(repository, "lua/resty_ffi.lua"), join(lua, "resty_ffi.lua"));
  const file = join(prefix, "nffi/nffi.json");
  const manifest = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  writeFileSync(file, JSON.stringify({ ...manifest, prefix, kind: "attached", nginx }, null, 2));
}
