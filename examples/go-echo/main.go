// go-echo is a runtime in Go, a shared library that nginx loads. It is written
// to the 2022-09 generation of the ABI, the oldest that is public.
package main

/*
// The linker finds the three functions in nginx when it loads the library.
#cgo LDFLAGS: -Wl,--unresolved-symbols=ignore-all

#include <stdlib.h>

extern void *ngx_http_lua_nonblocking_ffi_task_poll(void *tq);
extern char *ngx_http_lua_nonblocking_ffi_get_req(void *task, int *len);
extern void ngx_http_lua_nonblocking_ffi_respond(void *task, int rc,
    char *rsp, int rsp_len);
*/
import "C"

import (
	"fmt"
	"os"
	"unsafe"

	"example.com/nffi/go-echo/echo"
)

// lib_nonblocking_ffi_init is called once for each configuration, in nginx's
// event loop, which waits for it. The library owns cfg.
//
//export lib_nonblocking_ffi_init
func lib_nonblocking_ffi_init(cfg *C.char, cfgLen C.int, tasks unsafe.Pointer) C.int {
	text := C.GoBytes(unsafe.Pointer(cfg), cfgLen)
	C.free(unsafe.Pointer(cfg))

	config, err := echo.ParseConfig(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, "go-echo:", err) // error.log, as nginx's stderr
		return -1
	}
	go serve(config, tasks)
	return 0
}

// serve takes tasks until the runtime is unloaded; each has a goroutine.
func serve(config echo.Config, tasks unsafe.Pointer) {
	for {
		task := C.ngx_http_lua_nonblocking_ffi_task_poll(tasks)
		if task == nil {
			return
		}
		go respond(config, task)
	}
}

func respond(config echo.Config, task unsafe.Pointer) {
	var size C.int
	request := C.ngx_http_lua_nonblocking_ffi_get_req(task, &size)
	response := config.Respond(C.GoBytes(unsafe.Pointer(request), size))

	if len(response) == 0 {
		C.ngx_http_lua_nonblocking_ffi_respond(task, 0, nil, 0)
		return
	}
	// CBytes is malloc; nginx frees it.
	C.ngx_http_lua_nonblocking_ffi_respond(task, 0, (*C.char)(C.CBytes(response)), C.int(len(response)))
}

// A shared library is built from package main, but main is never called.
func main() {}
