package main

/*
#include "core.h"
*/
import "C"

import (
	"sync"
	"time"
	"unsafe"

	"ouroboros"
	"ouroboros/internal/errno"
)

// seats are the threads that sleep, or have slept, in a call. A thread has one
// for its life.
var seats struct {
	mu   sync.Mutex
	all  []*ouroboros.Outside
	free []int
}

//export core_sit
func core_sit(bell C.int) C.int {
	seats.mu.Lock()
	defer seats.mu.Unlock()
	o := ouroboros.NewOutside(int(bell))
	if n := len(seats.free); n > 0 {
		i := seats.free[n-1]
		seats.free = seats.free[:n-1]
		seats.all[i] = o
		return C.int(i)
	}
	seats.all = append(seats.all, o)
	return C.int(len(seats.all) - 1)
}

//export core_stand
func core_stand(seat C.int) {
	seats.mu.Lock()
	defer seats.mu.Unlock()
	seats.all[seat].Leave()
	seats.all[seat] = nil
	seats.free = append(seats.free, int(seat))
}

func outside(seat C.int) *ouroboros.Outside {
	seats.mu.Lock()
	defer seats.mu.Unlock()
	return seats.all[seat]
}

//export core_leave
func core_leave(fr *C.struct_frame) { outside(fr.seat).Leave() }

// bytesOf is memory of the caller.
func bytesOf(p unsafe.Pointer, n C.size_t) []byte {
	if p == nil || n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(p), int(n))
}

// number gives what a read or write returns.
func number(n int, err error) C.ssize_t {
	if err != nil {
		return C.ssize_t(fail(err))
	}
	return C.ssize_t(n)
}

// timedOut is the last look of a call whose time is over.
func timedOut(n int, err error) C.ssize_t {
	if err == errno.Again {
		err = errno.TimedOut
	}
	return number(n, err)
}

// same reports whether the flow is the one that the call began with, and was
// not deallocated while the thread slept.
func (o *open) same(fr *C.struct_frame) bool {
	if fr.gen == 0 {
		fr.gen = C.uint32_t(o.gen)
	}
	return fr.gen == C.uint32_t(o.gen)
}

//export core_read
func core_read(fd C.int, buf unsafe.Pointer, n C.size_t, fr *C.struct_frame) C.ssize_t {
	o, err := look(fd)
	if err != nil {
		return number(0, err)
	}
	p := bytesOf(buf, n)
	if fr.seat < 0 {
		fr.gen = C.uint32_t(o.gen)
		for {
			got, err := o.TryRead(p)
			if err != errno.Again {
				return number(got, err)
			}
			if o.Flags()&ouroboros.NonBlockingRead == 0 {
				return C.CORE_WAIT
			}
			if !o.rearm() {
				return number(0, err)
			}
		}
	}
	if !o.same(fr) {
		return number(0, errno.NotAlloc)
	}
	fr.timeout = C.int64_t(o.ReadTimeout())
	if fr.timeout == 0 || bool(fr.expired) {
		return timedOut(o.TryRead(p))
	}
	got, err := outside(fr.seat).Read(o.Flow, p)
	if err == errno.Again {
		return C.CORE_WAIT
	}
	return number(got, err)
}

// closedFor is how long the window of a peer is closed before a write says that
// it is more than slow.
const closedFor = time.Second

// stuck is what a write gives whose time is over: ECONNRESET for an in-order
// flow from which the peer has taken nothing for long.
func (o *open) stuck(fr *C.struct_frame, n C.ssize_t) C.ssize_t {
	if n == -C.ETIMEDOUT && time.Duration(fr.timeout) > closedFor && o.QoS().InOrder &&
		fr.queued == C.uint32_t(o.TxQueueLen())+1 {
		return number(0, errno.ConnReset)
	}
	return n
}

// core_ready is core_read that reads nothing.
//
//export core_ready
func core_ready(fd C.int, timeout C.int64_t, fr *C.struct_frame) C.ssize_t {
	o, err := look(fd)
	if err != nil {
		return number(0, err)
	}
	if fr.seat < 0 {
		fr.gen = C.uint32_t(o.gen)
		return C.CORE_WAIT
	}
	if !o.same(fr) {
		return number(0, errno.NotAlloc)
	}
	fr.timeout = timeout
	switch err := outside(fr.seat).Ready(o.Flow); {
	case err != errno.Again:
		return number(0, err)
	case timeout != 0 && !bool(fr.expired):
		return C.CORE_WAIT
	}
	outside(fr.seat).Leave()
	return number(0, errno.TimedOut)
}

//export core_write
func core_write(fd C.int, buf unsafe.Pointer, n C.size_t, fr *C.struct_frame) C.ssize_t {
	o, err := look(fd)
	if err != nil {
		return number(0, err)
	}
	p := bytesOf(buf, n)
	if fr.seat < 0 {
		fr.gen = C.uint32_t(o.gen)
		err := o.TryWrite(p)
		switch {
		case err == nil:
			return C.ssize_t(len(p))
		case err == errno.Again && o.Flags()&ouroboros.NonBlockingWrite == 0:
			return C.CORE_WAIT
		}
		return number(0, err)
	}
	if !o.same(fr) {
		return number(0, errno.NotAlloc)
	}
	fr.timeout = C.int64_t(o.WriteTimeout())
	if fr.queued == 0 {
		fr.queued = C.uint32_t(o.TxQueueLen()) + 1
	}
	if fr.timeout == 0 || bool(fr.expired) {
		return o.stuck(fr, timedOut(len(p), o.TryWrite(p)))
	}
	err = outside(fr.seat).Write(o.Flow, p)
	if err == errno.Again {
		return C.CORE_WAIT
	}
	return number(len(p), err)
}

// core_ring wakes the other side of a flow: see lane.c.
//
//export core_ring
func core_ring(fd C.int) {
	if o, err := look(fd); err == nil {
		o.Ring()
	}
}

//export core_check
func core_check(fd C.int) C.int {
	if _, err := look(fd); err != nil {
		return fail(err)
	}
	return 0
}

//export core_dealloc
func core_dealloc(fd C.int) C.int {
	o, err := take(fd)
	if err != nil {
		return fail(err)
	}
	o.close()
	return 0
}

// close deallocates the flow and what hangs on its descriptor.
func (o *open) close() {
	o.Dealloc()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.alone != nil {
		o.alone.Close()
	}
}
