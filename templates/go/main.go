// hello-runtime handles calls from Lua in nginx.conf: as a library in the nginx
// worker, or, with the same code, as a process.
package main

import (
	"nffi.local/nffi"

	"example.com/hello-runtime/handlers"
)

func init() {
	nffi.ServeConfig(handlers.New)
}

func main() { nffi.Main() } // of a process; a library has none
