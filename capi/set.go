package main

/*
#include "lane.h"
*/
import "C"

import (
	"context"
	"errors"
	"sync"
	"unsafe"

	"ouroboros"
	"ouroboros/internal/errno"
)

// sets are the flow sets of the process, by number.
var sets struct {
	mu sync.Mutex
	at [C.SETS]*set
}

type set struct {
	*ouroboros.FlowSet
	mu     sync.Mutex // one collects at a time
	events []ouroboros.FlowEvent
}

// past is a context that is over: with it Wait polls.
var past = func() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	return ctx
}()

//export core_set_create
func core_set_create(fd *C.int) C.int {
	s := &set{FlowSet: ouroboros.NewFlowSet()}
	n, err := s.FD()
	if err != nil {
		return fail(err)
	}
	*fd = C.int(n)
	sets.mu.Lock()
	defer sets.mu.Unlock()
	for i := 1; i < len(sets.at); i++ {
		if sets.at[i] == nil {
			sets.at[i] = s
			return C.int(i)
		}
	}
	s.Close()
	return fail(errno.New(errno.NoBufs, "cannot make a flow set: this process has %d of them", len(sets.at)-1).
		Next("destroy one; a set takes any number of flows"))
}

func setAt(number C.int) *set {
	sets.mu.Lock()
	defer sets.mu.Unlock()
	return sets.at[number]
}

//export core_set_destroy
func core_set_destroy(number C.int) {
	sets.mu.Lock()
	s := sets.at[number]
	sets.at[number] = nil
	sets.mu.Unlock()
	s.Close()
}

//export core_set_zero
func core_set_zero(number C.int) { setAt(number).Zero() }

//export core_set_add
func core_set_add(number C.int, fd C.int) C.int {
	o, err := look(fd)
	if err != nil {
		return -C.EINVAL
	}
	switch err := setAt(number).Add(o.Flow); {
	case errors.Is(err, errno.NotAlloc): // deallocated meanwhile
		return -C.EINVAL
	case err != nil:
		return fail(err)
	}
	return 0
}

//export core_set_del
func core_set_del(number C.int, fd C.int) {
	if o, err := look(fd); err == nil {
		setAt(number).Remove(o.Flow)
	}
}

//export core_set_has
func core_set_has(number C.int, fd C.int) C.bool {
	o, err := look(fd)
	return C.bool(err == nil && setAt(number).Has(o.Flow))
}

// core_events takes the events that are pending, without waiting. With last,
// before a time-out is reported, it looks at every flow of the set.
//
//export core_events
func core_events(number C.int, out *C.struct_event, most C.int, last C.bool) C.int {
	s := setAt(number)
	if s == nil {
		return -C.EINVAL
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var err error
		if last {
			s.events, err = s.Wait(past, s.events[:0])
		} else {
			s.events, err = s.Pending(s.events[:0])
		}
		if errors.Is(err, errno.NotAlloc) {
			return -C.EINVAL
		}
		if len(s.events) == 0 {
			return 0
		}
		events, n := unsafe.Slice(out, int(most)), 0
		for _, ev := range s.events {
			if v, ok := byFlow.Load(ev.Flow); ok && n < len(events) { // else it was deallocated
				o := v.(*open)
				events[n] = C.struct_event{fd: C.int32_t(o.fd), gen: C.uint32_t(o.gen), _type: C.int32_t(ev.Type)}
				n++
			}
		}
		clear(s.events)
		if n > 0 {
			return C.int(n)
		}
	}
}

// core_same tells whether a descriptor is still what it was in an event.
//
//export core_same
func core_same(fd C.int, gen C.uint32_t) C.bool {
	o, err := look(fd)
	return C.bool(err == nil && o.gen == uint32(gen))
}

//export core_flow_fd
func core_flow_fd(fd C.int) C.int {
	o, err := look(fd)
	if err != nil {
		return fail(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.alone == nil {
		s := ouroboros.NewFlowSet()
		if err := s.Add(o.Flow); err != nil {
			s.Close()
			return fail(err)
		}
		o.alone = s
		C.lanes[o.fd].watched = 1
	}
	n, err := o.alone.FD()
	if err != nil {
		return fail(err)
	}
	return C.int(n)
}

// rearm looks away from what was told by the descriptor of ouro_flow_fd, after
// a read that found nothing; true when something came meanwhile, so that the
// read is to be repeated.
func (o *open) rearm() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.alone == nil {
		return false
	}
	events, _ := o.alone.Wait(past, nil)
	return len(events) > 0
}
