package nffi

/*
#include <nffi.h>
*/
import "C"

import (
	"context"
	"fmt"
	"unsafe"
)

// nffiGoStart is nffi_runtime_start. It runs in nginx's event loop, which waits
// for it.
//
//export nffiGoStart
func nffiGoStart(pointer unsafe.Pointer, config unsafe.Pointer, size C.size_t,
	reason unsafe.Pointer, room C.size_t) (result C.int) {
	defer func() {
		if thrown := recover(); thrown != nil {
			result = refuse(fmt.Errorf("panic: %v", thrown), reason, room)
		}
	}()
	if served == nil {
		return refuse(errNotServe, reason, room)
	}
	var bytes []byte
	if config != nil {
		bytes = C.GoBytes(config, C.int(size))
	}
	var make func(context.Context) (Handler, error)
	err := guard(func() (err error) {
		make, err = served(bytes)
		return err
	})
	if err != nil {
		return refuse(err, reason, room)
	}
	go newRuntime(newQueue(pointer)).start(make)
	return 0
}

// refuse writes a reason that ends with NUL.
func refuse(err error, reason unsafe.Pointer, room C.size_t) C.int {
	if room > 0 {
		text := unsafe.Slice((*byte)(reason), int(room))
		text[copy(text[:len(text)-1], err.Error())] = 0
	}
	return -1
}
