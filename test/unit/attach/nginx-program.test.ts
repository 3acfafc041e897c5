import { expect, test } from "vitest";
import { parseVersion } from "../../../src/attach/nginx-program.js";

test("of Debian's nginx", () => {
  const text = `nginx version: nginx/1.22.1
built with OpenSSL 3.0.17 1 Jul 2025
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2 -Wdate-time' --with-ld-opt='-Wl,-z,relro -fPIC' --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf --with-compat
`;
  expect(parseVersion(text)).toEqual({
    ...{ name: "nginx", version: "1.22.1", core: "1.22.1" },
    configure: [
      "--with-cc-opt=-g -O2 -Wdate-time",
      "--with-ld-opt=-Wl,-z,relro -fPIC",
      "--prefix=/usr/share/nginx",
      "--conf-path=/etc/nginx/nginx.conf",
      "--with-compat",
    ],
    ...{ prefix: "/usr/share/nginx", conf: "/etc/nginx/nginx.conf" },
  });
});

test("of an OpenResty, whose core has the first three numbers", () => {
  const text =
    "nginx version: openresty/1.27.1.2\nconfigure arguments: --prefix=/usr/local/openresty/nginx\n";
  expect(parseVersion(text)).toMatchObject({
    ...{ name: "openresty", version: "1.27.1.2", core: "1.27.1" },
    ...{ prefix: "/usr/local/openresty/nginx", conf: "/usr/local/openresty/nginx/conf/nginx.conf" },
  });
});

test("of a derivative, which prints the nginx that it is built on", () => {
  const text = "Angie version: Angie/1.8.1\nnginx version: nginx/1.27.3\nconfigure arguments:\n";
  expect(parseVersion(text)).toMatchObject({
    ...{ name: "Angie", version: "1.8.1", core: "1.27.3" },
    configure: [],
  });
});

test("the last of an option counts, and --conf-path is relative to the prefix", () => {
  const text =
    "nginx version: nginx/1.26.3 (Ubuntu)\nconfigure arguments: --prefix=/a --prefix=/b --conf-path=c/n.conf\n";
  expect(parseVersion(text)).toMatchObject({
    version: "1.26.3",
    prefix: "/b",
    conf: "/b/c/n.conf",
  });
});

test("without configure arguments, nginx's own defaults", () => {
  expect(parseVersion("nginx version: nginx/1.26.3\n")).toMatchObject({
    ...{ configure: [], prefix: "/usr/local/nginx", conf: "/usr/local/nginx/conf/nginx.conf" },
  });
});

test.each(["", "bash, version 5.2\n", "nginx version: nginx/unknown\n"])(
  "%j is of no nginx",
  (text) => {
    expect(parseVersion(text)).toBeUndefined();
  },
);
