// clang-tidy on the glue, which needs the headers of a configured nginx and of ngx_lua.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { $ } from "zx";

const quiet = $({ nothrow: true, quiet: true });
const NGINX = /^nginx-[\d.]+$/;

/** The configured nginx: NFFI_LINT_NGINX, or one that a test has built; undefined without one. */
export function configuredNginx() {
  const named = process.env.NFFI_LINT_NGINX;
  const builds = listed(".nffi/test").map((product) => `.nffi/test/${product}/work/tree/build`);
  const found = builds.flatMap((build) =>
    listed(build)
      .filter((name) => NGINX.test(name))
      .map((name) => join(build, name)),
  );
  return [...(named ? [named] : []), ...found].find((nginx) => existsSync(makefileOf(nginx)));
}

/** The findings in the sources `files`, with the headers that the build of `nginx` uses. */
export async function clangTidyGlue(program, files, nginx) {
  const own = ["c-src/ngx", "c-src/ngx/attached", "c-src/lib", "c-src/include"];
  const flags = [
    ...["-std=gnu11", "-D_GNU_SOURCE", "-pthread"],
    ...own.map((folder) => `-I${folder}`),
    ...foreignHeaders(nginx).map((folder) => `-isystem${folder}`),
  ];
  const pending = [...files];
  const outputs = [];
  const worker = async () => {
    for (let file = pending.shift(); file !== undefined; file = pending.shift()) {
      const headers = "--header-filter=c-src/ngx/";
      const { stdout, stderr, exitCode } =
        await quiet`${program} --quiet ${headers} ${file} -- ${flags}`;
      outputs.push(exitCode === 0 || stdout !== "" ? stdout : stderr);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return outputs.join("");
}

/** ALL_INCS of nginx's Makefile and the directory of ngx_lua's own headers. */
function foreignHeaders(nginx) {
  const [, list = ""] =
    readFileSync(makefileOf(nginx), "utf8").match(/^ALL_INCS =((?:.*\\\n)*.*)/m) ?? [];
  const bundle = resolve(nginx, "..");
  const lua = listed(bundle).filter((name) => /^ngx_lua-|^lua-nginx-module/.test(name));
  return [
    ...[...list.matchAll(/-I *(\S+)/g)].map(([, folder]) => resolve(nginx, folder)),
    ...lua.map((name) => join(bundle, name, "src")),
  ];
}

function makefileOf(nginx) {
  return join(nginx, "objs/Makefile");
}

function listed(folder) {
  return existsSync(folder) ? readdirSync(folder) : [];
}
