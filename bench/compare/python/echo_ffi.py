"""The same handler for lua-resty-ffi's loader for Python."""

import threading

from cffi import FFI

ffi = FFI()
ffi.cdef("""
void *malloc(size_t size);
void *ngx_http_lua_ffi_task_poll(void *queue);
char *ngx_http_lua_ffi_get_req(void *task, int *size);
void ngx_http_lua_ffi_respond(void *task, int status, char *response, int size);
""")
C = ffi.dlopen(None)


def serve(queue):
    size = ffi.new("int *")
    while True:
        task = C.ngx_http_lua_ffi_task_poll(queue)
        if task == ffi.NULL:
            return
        request = C.ngx_http_lua_ffi_get_req(task, size)
        response = C.malloc(size[0] + 1)
        ffi.memmove(response, request, size[0])
        C.ngx_http_lua_ffi_respond(task, 0, ffi.cast("char *", response), size[0])


def init(_config, queue):
    thread = threading.Thread(target=serve, args=(ffi.cast("void *", queue),), daemon=True)
    thread.start()
    return 0
