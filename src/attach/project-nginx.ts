/**
 * The files in PREFIX/nffi/nginx with which nffi-nginx starts an attached nginx for a project. An
 * nginx of a distribution uses the directories of the system, and nginx.conf loads its modules.
 */

/** `main.conf` and `http.conf` have directives of these levels, one a line. */
export const NGINX_FILES = ["program", "main.conf", "http.conf"] as const;

export type NginxFiles = Readonly<Record<(typeof NGINX_FILES)[number], string>>;

export function projectNginx(nginx: {
  readonly path: string;
  readonly configure: readonly string[];
  readonly modules: readonly string[];
}): NginxFiles {
  const lines = (directives: readonly string[]) => directives.map((one) => `${one};\n`).join("");
  return {
    program: `${nginx.path}\n`,
    "main.conf": lines(nginx.modules.map((path) => `load_module "${path}"`)),
    "http.conf": lines([
      "access_log logs/access.log",
      ...temporaryPaths(nginx.configure).map((name) => `${name} ${name.replace(/_path$/, "")}`),
    ]),
  };
}

const OPTIONAL = ["proxy", "fastcgi", "uwsgi", "scgi"];

/** The directives for the temporary directories of those http modules that this nginx has. */
export function temporaryPaths(configure: readonly string[]): string[] {
  const there = OPTIONAL.filter((name) => !configure.includes(`--without-http_${name}_module`));
  return ["client_body", ...there].map((name) => `${name}_temp_path`);
}
