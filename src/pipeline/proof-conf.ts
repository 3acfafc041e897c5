/** The nginx.conf of the proof: one location that calls the echo library from Lua. */
import { join } from "node:path";

export function proofConf(
  stagedPrefix: string,
  port: number,
  { workersAreRoot }: { readonly workersAreRoot: boolean },
): string {
  const staged = (path: string) => join(stagedPrefix, path);
  const lualib = staged("lualib");
  const luajit = staged("luajit/share/luajit-2.1");
  // Without it the workers run as the user passed to configure, by default `nobody`.
  const user = workersAreRoot ? "user root;" : "";
  return `
daemon off;
${user}
worker_processes 1;
pid nginx.pid;
error_log error.log info;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    lua_package_path "${lualib}/?.lua;${lualib}/?/init.lua;${luajit}/?.lua";
    lua_package_cpath "${lualib}/?.so";
    server {
        listen 127.0.0.1:${port};
        location / {
            content_by_lua_block {
                local echo = "${staged("nffi/lib/libnffi_echo.so")}"
                local rt, err = ngx.load_nonblocking_ffi(echo, "", { max_queue = 16 })
                local ok, response
                if rt then
                    ok, response, err = rt:echo("bytes")
                end
                if not ok then
                    ngx.status = 500
                    return ngx.print("the echo call failed: ", err or response)
                end
                ngx.print(response)
            }
        }
    }
}
`;
}
