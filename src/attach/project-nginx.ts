/**
 * What nffi-nginx needs to start an attached nginx for a project, as PREFIX/nffi/nginx: an nginx of
 * a distribution was compiled for the directories of the system, and gets its modules by
 * nginx.conf.
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

/**
 * The directives that name the temporary directories of http, of the modules that this nginx has.
 */
export function temporaryPaths(configure: readonly string[]): string[] {
  const there = OPTIONAL.filter((name) => !configure.includes(`--without-http_${name}_module`));
  return ["client_body", ...there].map((name) => `${name}_temp_path`);
}
