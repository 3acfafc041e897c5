package nffi

/*
#include <nffi.h>
*/
import "C"

import (
	"context"
	"fmt"
	"time"
)

// Level is one of nginx's error log.
type Level int

// The levels that nffi_log knows.
const (
	LevelError  Level = C.NFFI_LOG_ERROR
	LevelWarn   Level = C.NFFI_LOG_WARN
	LevelNotice Level = C.NFFI_LOG_NOTICE
	LevelInfo   Level = C.NFFI_LOG_INFO
	LevelDebug  Level = C.NFFI_LOG_DEBUG
)

// Logf writes a line to the error log of nginx, with the client and the request
// of the call whose context, or a derived one, it gets. With any other context it
// does nothing and returns false. It also returns false when too many lines are
// in flight.
func Logf(ctx context.Context, level Level, format string, args ...any) bool {
	call := callOf(ctx)
	if call == nil {
		return false
	}
	text := []byte(fmt.Sprintf(format, args...))
	return C.nffi_log(C.nffi_task_t(call.task), C.int(level), pointerTo(text),
		C.size_t(len(text))) == C.NFFI_OK
}

// logStart writes why a start has failed, or that it was for the same reason again.
func (q *queue) logStart(err error, isKnown bool, delay time.Duration) {
	why := ": " + err.Error()
	if isKnown {
		why = ", for the same reason"
	}
	text := []byte(fmt.Sprintf("the runtime did not start%s; it is tried again in %d ms",
		why, delay.Milliseconds()))
	C.nffi_queue_log(q.pointer, C.NFFI_LOG_ERROR, pointerTo(text), C.size_t(len(text)))
}

type callKey struct{}
