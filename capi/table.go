package main

/*
#include "lane.h"
*/
import "C"

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"ouroboros"
	"ouroboros/internal/errno"
	"ouroboros/internal/ring"
)

// The descriptors of a process: small numbers from first on, the lowest that
// is free first, as those of the kernel.
const (
	first = C.FD_FIRST
	end   = C.FD_END
)

// open is what stands behind a descriptor.
type open struct {
	*ouroboros.Flow
	fd    int
	gen   uint32
	alone *ouroboros.FlowSet // that makes the descriptor of ouro_flow_fd; guarded by mu
	mu    sync.Mutex
	queue writeQueue
}

// flows is the table of descriptors. Looking one up takes no lock.
var flows struct {
	slot [end]atomic.Pointer[open]

	mu  sync.Mutex
	gen [end]uint32
	low int // no descriptor below is free
}

// put gives a flow the lowest free descriptor. Without one it is deallocated.
func put(f *ouroboros.Flow) (int, error) {
	flows.mu.Lock()
	for fd := max(flows.low, first); fd < end; fd++ {
		if flows.slot[fd].Load() == nil {
			flows.gen[fd]++
			flows.low = fd + 1
			o := &open{Flow: f, fd: fd, gen: flows.gen[fd]}
			byFlow.Store(f, o)
			o.openLane()
			flows.slot[fd].Store(o)
			flows.mu.Unlock()
			return fd, nil
		}
	}
	flows.mu.Unlock()
	f.Close()
	return -1, errno.New(errno.BadFlow, "cannot allocate a flow: this process has %d of them", end-first).
		Next("deallocate some")
}

// openLane lets flow_read and flow_write go by Go: see lane.c.
func (o *open) openLane() {
	lane := &C.lanes[o.fd]
	lane.read_only, lane.no_wait, lane.no_wait_write, lane.watched = 0, 0, 0, 0
	lane.patience, lane.sulk, lane.sulked = 0, 0, 0
	o.KeepIn((*ring.Foreign)(unsafe.Pointer(lane)))
}

// flagLane tells the lane what the flags say.
func (o *open) flagLane() {
	lane, flags := &C.lanes[o.fd], o.Flags()
	lane.read_only, lane.no_wait, lane.no_wait_write = 0, 0, 0
	if flags&ouroboros.AccessMode == ouroboros.ReadOnly {
		lane.read_only = 1
	}
	if flags&ouroboros.NonBlockingRead != 0 {
		lane.no_wait = 1
	}
	if flags&ouroboros.NonBlockingWrite != 0 {
		lane.no_wait_write = 1
	}
}

// The two languages have the same layout: else this does not compile.
const (
	_ = uint(ring.ForeignSize - C.sizeof_struct_foreign)
	_ = uint(C.sizeof_struct_foreign - ring.ForeignSize)
)

// look gives what stands behind a descriptor; errno.BadFlow outside the table.
func look(fd C.int) (*open, error) {
	if fd < 0 || fd >= end {
		return nil, errno.BadFlow
	}
	if o := flows.slot[fd].Load(); o != nil {
		return o, nil
	}
	return nil, errno.NotAlloc
}

// take removes a descriptor.
func take(fd C.int) (*open, error) {
	if fd < 0 || fd >= end {
		return nil, errno.Invalid
	}
	flows.mu.Lock()
	defer flows.mu.Unlock()
	o := flows.slot[fd].Swap(nil)
	if o == nil {
		return nil, errno.NotAlloc
	}
	byFlow.Delete(o.Flow)
	flows.low = min(flows.low, int(fd))
	return o, nil
}

// byFlow finds the descriptors of the flows of events.
var byFlow sync.Map // *ouroboros.Flow -> *open
