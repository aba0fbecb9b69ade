package main

/*
#include "core.h"
*/
import "C"

import (
	"sync"
	"sync/atomic"

	"ouroboros"
	"ouroboros/internal/errno"
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
