package main

/*
#include "core.h"
*/
import "C"

import (
	"bytes"
	"context"
	"sync"
	"unsafe"

	"ouroboros/internal/errno"
)

// writeQueue keeps the writes that were started on a flow in their order.
type writeQueue struct {
	mu   sync.Mutex
	last chan struct{} // closed when the last one has ended
}

// enter gives what to wait for, and what to close at the end.
func (q *writeQueue) enter() (before <-chan struct{}, after chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before = q.last
	q.last = make(chan struct{})
	return before, q.last
}

//export core_write_start
func core_write_start(fd C.int, buf unsafe.Pointer, n C.size_t) C.int {
	o, err := look(fd)
	if err != nil {
		return fail(err)
	}
	if n > maxWrite {
		return fail(errno.MsgSize)
	}
	p := bytes.Clone(bytesOf(buf, n))
	timeout := C.int64_t(o.WriteTimeout())
	before, after := o.queue.enter()
	number := begin(-1, timeout, func(ctx context.Context, _ *op) (int, error) {
		defer close(after)
		if before != nil {
			select {
			case <-before:
			case <-ctx.Done():
				// Whoever comes after this one waits for those before, too.
				<-before
			}
			if err := ctx.Err(); err != nil { // also if both were ready
				return 0, err
			}
		}
		if err := o.WriteContext(ctx, p); err != nil {
			return 0, err
		}
		return len(p), nil
	})
	if number < 0 {
		close(after)
	}
	return number
}

// maxWrite is beyond the longest message of any flow: what is longer is not
// even copied.
const maxWrite = 16 << 20
