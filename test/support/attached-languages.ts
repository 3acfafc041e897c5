// Runtimes in the languages of nffi, built in a machine with Debian's nginx against the product
// that is attached there, as a user builds them, and called through that nginx.
import { join } from "node:path";
import type { CliResult } from "./cli.js";
import { repository } from "./cli.js";
import type { DebianMachine } from "./debian-nginx.js";

/** The directory of the runtimes in the machine. */
export const APP = "/srv/app";

const NFFI = "/usr/local/nffi/nffi";

/** The builders of the runtimes; each reads its sources from a copy in its own directory. */
const BUILDS = {
  c: `
export PKG_CONFIG_PATH=${NFFI}/lib/pkgconfig
cc -fPIC -shared -o libruntime.so runtime.c $(pkg-config --cflags --libs nffi)
cc -o runtime runtime.c $(pkg-config --cflags --libs nffi)`,
  go: `
go mod edit -replace=nffi=${NFFI}/go
go build -buildmode=c-shared -o libruntime.so .
go build -o runtime .`,
  rust: `
sed -i 's|path = ".*/rust"|path = "${NFFI}/rust"|' Cargo.toml
cargo build --offline --quiet --target-dir target
cp target/debug/liblanguages.so libruntime.so
cp target/debug/languages runtime`,
  java: `javac -cp ${NFFI}/java/nffi.jar -d classes languages/App.java`,
  python: "",
  node: "",
} as const;

export type AttachedLanguage = keyof typeof BUILDS;

const native = (language: AttachedLanguage) => ({
  [language]: `"${APP}/${language}/libruntime.so", { codec = "json" }`,
  [`${language}-process`]: `"process", { program = "${APP}/${language}/runtime", codec = "json" }`,
});

const hosted = (language: AttachedLanguage, options: string) => ({
  [language]: `"${language}", { ${options}, host = "worker" }`,
  [`${language}-process`]: `"${language}", { ${options} }`,
});

/** The arguments of nffi.load, by the name of the runtime. */
const LOADS: Readonly<Record<AttachedLanguage, Readonly<Record<string, string>>>> = {
  c: native("c"),
  go: native("go"),
  rust: native("rust"),
  java: hosted(
    "java",
    `module = "languages.App", classpath = "${APP}/java/classes", jvm_args = { "-Xmx64m", "-XX:+UseSerialGC" }`,
  ),
  python: hosted("python", `module = "${APP}/python/runtime.py", program = "/usr/bin/python3"`),
  node: { "typescript-process": `"node", { module = "${APP}/node/runtime.mjs" }` },
};

/** Builds the runtimes of some languages, and writes a server for nginx, at /NAME on port 8095. */
export function buildRuntimes(
  machine: DebianMachine,
  languages: readonly AttachedLanguage[],
): Promise<CliResult> {
  const builds = languages.map(
    (language) => `
mkdir -p ${APP}/${language} && cd ${APP}/${language}
cp -r ${join(repository, "test/sdk", language, "fixtures/languages")}/. .
${BUILDS[language]}`,
  );
  const rows = languages.flatMap((language) =>
    Object.entries(LOADS[language]).map(
      ([name, load]) => `["${name}"] = function() return nffi.load(${load}) end,`,
    ),
  );
  return machine.run(`set -e
${builds.join("\n")}
chmod -R a+rX ${APP}
cat > /etc/nginx/conf.d/languages.conf <<'END'
server {
    listen 127.0.0.1:8095;
    location ~ ^/(?<runtime>[a-z-]+)$ {
        content_by_lua_block {
            local nffi = require "resty.nffi"
            local loads = { ${rows.join("\n")} }
            local rt = assert(loads[ngx.var.runtime]())
            ngx.print(assert(rt.methods:echo("from " .. ngx.var.runtime, { timeout = 30000 })))
        }
    }
}
END`);
}

/** The names of the runtimes that `buildRuntimes` makes available. */
export function runtimesOf(languages: readonly AttachedLanguage[]): string[] {
  return languages.flatMap((language) => Object.keys(LOADS[language]));
}

/** Starts nginx, or reloads it; calls each runtime; returns the answers, then stops nginx. */
export async function answersOf(
  machine: DebianMachine,
  runtimes: readonly string[],
): Promise<Record<string, string>> {
  await machine.run("nginx");
  const answers: Record<string, string> = {};
  for (const name of runtimes) {
    const answered = await machine.run(`curl -sS --max-time 40 http://127.0.0.1:8095/${name}`);
    answers[name] = answered.stdout + answered.stderr;
    if (answers[name] === `from ${name}`) continue;
    answers[name] += (await machine.run("tail -n 5 /var/log/nginx/error.log")).stdout;
  }
  await machine.run("nginx -s stop");
  return answers;
}
