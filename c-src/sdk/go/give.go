package nffi

/*
#include <stdlib.h>
#include <nffi.h>
*/
import "C"

import "unsafe"

const (
	maxResponses = 64
	roomBytes    = maxResponses * smallAnswer
)

// giver passes responses to C; one goroutine at a time. C must not receive a
// pointer to Go memory inside other memory, so the bytes of a batch are copied to
// C memory.
type giver struct {
	responses []C.nffi_response_t
	room      []byte
}

func newGiver() giver {
	responses := (*C.nffi_response_t)(C.calloc(maxResponses, C.sizeof_nffi_response_t))
	return giver{responses: unsafe.Slice(responses, maxResponses)}
}

func (g *giver) give(answers []answer) {
	count, used := 0, 0
	for i := range answers {
		one := &answers[i]
		size := len(one.data) + len(one.detail)
		if size > smallAnswer || len(answers) == 1 {
			giveOne(one)
			continue
		}
		if g.room == nil {
			g.room = unsafe.Slice((*byte)(C.malloc(roomBytes)), roomBytes)
		}
		if count == maxResponses {
			g.giveBatch(count)
			count, used = 0, 0
		}
		g.responses[count] = C.nffi_response_t{
			task: C.nffi_task_t(one.task), rc: C.int32_t(one.rc), size: C.size_t(len(one.data)),
		}
		if one.data != nil {
			g.responses[count].data = unsafe.Pointer(&g.room[used%roomBytes])
		}
		used += copy(g.room[used:], one.data)
		if one.failed {
			g.responses[count].flags = C.NFFI_RESPONSE_ERROR
			g.responses[count].detail = unsafe.Pointer(&g.room[used%roomBytes])
			g.responses[count].detail_size = C.size_t(len(one.detail))
			used += copy(g.room[used:], one.detail)
		}
		count++
	}
	g.giveBatch(count)
}

func (g *giver) giveBatch(count int) {
	if count == 0 {
		return
	}
	given := C.nffi_respond_batch(&g.responses[0], C.size_t(count))
	for i := 0; int(given) < count && i < count; i++ {
		response := &g.responses[i]
		if response.result != C.NFFI_OK {
			giveUp(uint64(response.task), response.result)
		}
	}
}

func giveOne(one *answer) {
	task := C.nffi_task_t(one.task)
	var result C.int
	if one.failed {
		result = C.nffi_respond_error(task, pointerTo(one.data), C.size_t(len(one.data)),
			pointerTo(one.detail), C.size_t(len(one.detail)))
	} else {
		result = C.nffi_respond(task, C.int(one.rc), pointerTo(one.data), C.size_t(len(one.data)))
	}
	if result != C.NFFI_OK {
		giveUp(one.task, C.int32_t(result))
	}
}

// giveUp reports to the caller why its response cannot be sent, unless the call
// was cancelled.
func giveUp(task uint64, result C.int32_t) {
	if result == C.NFFI_STALE || result == C.NFFI_CLOSED {
		return
	}
	text := []byte("the answer cannot be given: " + C.GoString(C.nffi_error_text(C.int(result))))
	C.nffi_respond_error(C.nffi_task_t(task), pointerTo(text), C.size_t(len(text)), nil, 0)
}

// empty is what a slice without bytes points to: NULL would be nil in Lua.
var empty [1]byte

func pointerTo(bytes []byte) unsafe.Pointer {
	if bytes == nil {
		return nil
	}
	if len(bytes) == 0 {
		return unsafe.Pointer(&empty[0])
	}
	return unsafe.Pointer(&bytes[0])
}
