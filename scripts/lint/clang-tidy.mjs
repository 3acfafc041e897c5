// clang-tidy on the C of the product, its examples and its template. The checks are in .clang-tidy.
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { $ } from "zx";

const quiet = $({ nothrow: true, quiet: true });

/** The findings in `files`, the C sources and headers that git knows. `javaHome` may be "". */
export async function clangTidy(program, files, javaHome) {
  const headers = files.filter((file) => file.endsWith(".h") && isChecked(file)).map(dirname);
  // its headers are included as room/name.h
  headers.push("c-src/lib");
  const system = [
    `${javaHome}/include`,
    `${javaHome}/include/linux`,
    "node_modules/node-api-headers/include",
    "/usr/include/postgresql",
  ].filter((folder) => existsSync(folder));
  const pending = files.filter((file) => file.endsWith(".c") && isChecked(file));
  const outputs = [];
  const worker = async () => {
    for (let file = pending.shift(); file !== undefined; file = pending.shift()) {
      const folders = new Set(headers.filter((folder) => isVisible(folder, file)));
      const flags = [
        ...["-std=gnu11", "-D_GNU_SOURCE", "-pthread"],
        ...[...folders].map((folder) => `-I${folder}`),
        ...system.map((folder) => `-isystem${folder}`),
      ];
      outputs.push((await quiet`${program} --quiet ${file} -- ${flags}`).stdout);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return outputs.join("");
}

/** Not the glue, which needs the headers of a configured nginx; nor tests and measurements. */
function isChecked(file) {
  return !file.startsWith("c-src/ngx/") && !/^bench\/|(^|\/)tests?\//.test(file);
}

/** Two projects may have a header of the same name. */
function isVisible(folder, file) {
  const project = (path) => path.split("/").slice(0, 2).join("/");
  return (
    folder === "c-src/include" || project(folder) === project(file) || isOfLibrary(folder, file)
  );
}

function isOfLibrary(folder, file) {
  return folder.startsWith("c-src/") && file.startsWith("c-src/");
}
