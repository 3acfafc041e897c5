// A library that returns each request. ngx.load_ffi() of lua-resty-ffi and of nffi can load it.
package main

/*
#cgo LDFLAGS: -shared
#include <stdlib.h>
#include <string.h>

void *ngx_http_lua_ffi_task_poll(void *queue);
char *ngx_http_lua_ffi_get_req(void *task, int *size);
void ngx_http_lua_ffi_respond(void *task, int status, char *response, int size);
*/
import "C"

import "unsafe"

//export libffi_init
func libffi_init(_ *C.char, queue unsafe.Pointer) C.int {
	go serve(queue)
	return 0
}

func serve(queue unsafe.Pointer) {
	for {
		task := C.ngx_http_lua_ffi_task_poll(queue)
		if task == nil {
			return
		}
		var size C.int
		request := C.ngx_http_lua_ffi_get_req(task, &size)
		response := C.malloc(C.size_t(size) + 1)
		C.memcpy(response, unsafe.Pointer(request), C.size_t(size))
		C.ngx_http_lua_ffi_respond(task, 0, (*C.char)(response), size)
	}
}

func main() {}
