package main

/*
#include "core.h"
*/
import "C"

import (
	"context"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"ouroboros"
	"ouroboros/internal/errno"
	"ouroboros/qos"
)

// op is a call that a goroutine carries out while the thread that made it
// sleeps outside of Go, or goes on. Its number is a descriptor of the kernel
// that becomes readable when it has ended: the bell of the thread, or one of
// its own.
type op struct {
	cancel context.CancelFunc
	own    bool // bell is of this operation

	done   chan struct{} // closed when the rest is valid
	result int
	qos    qos.Spec
	hasQoS bool
	list   unsafe.Pointer // malloc'ed, for a call that lists
	text   string         // of the error
}

// ops are the operations that were begun and not finished, by number.
var ops struct {
	mu sync.Mutex
	at map[int]*op
}

// begin carries out f. bell is the eventfd of the thread that will sleep, or
// negative for an operation that gets one of its own.
func begin(bell C.int, timeout C.int64_t, f func(ctx context.Context, o *op) (int, error)) C.int {
	o := &op{done: make(chan struct{})}
	fd := int(bell)
	if fd < 0 {
		var err error
		if fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			return fail(err)
		}
		o.own = true
	}
	var ctx context.Context
	if timeout == C.FOREVER {
		ctx, o.cancel = context.WithCancel(context.Background())
	} else {
		ctx, o.cancel = context.WithTimeout(context.Background(), time.Duration(timeout))
	}
	ops.mu.Lock()
	if ops.at == nil {
		ops.at = make(map[int]*op)
	}
	ops.at[fd] = o
	ops.mu.Unlock()
	go func() {
		n, err := f(ctx, o)
		cancelled := ctx.Err() == context.Canceled
		o.cancel()
		if err != nil {
			n, o.text = -errno.Number(err), err.Error()
			if cancelled {
				n, o.text = -int(unix.ECANCELED), "the call was cancelled"
			}
		}
		o.result = n
		close(o.done)
		// The number stays valid until finish, which needs what was closed
		// above; whoever looks at the bell before is told to wait for it.
		ringBell(fd)
	}()
	return C.int(fd)
}

func ringBell(fd int) { unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func opAt(number C.int) *op {
	ops.mu.Lock()
	defer ops.mu.Unlock()
	return ops.at[int(number)]
}

//export core_finish
func core_finish(number C.int, q *C.qosspec_t, list *unsafe.Pointer) C.int {
	ops.mu.Lock()
	o := ops.at[int(number)]
	if o == nil {
		ops.mu.Unlock()
		return fail(errno.New(errno.BadFlow, "%d is no operation that was started", int(number)))
	}
	select {
	case <-o.done:
		delete(ops.at, int(number))
	default:
		ops.mu.Unlock()
		return C.CORE_WAIT
	}
	ops.mu.Unlock()
	if o.own {
		unix.Close(int(number))
	}
	if q != nil && o.hasQoS {
		*q = specToC(o.qos)
	}
	if list != nil {
		*list = o.list
	}
	if o.result < 0 && o.text != "" {
		say(o.result, o.text)
	}
	return C.int(o.result)
}

//export core_cancel
func core_cancel(number C.int) C.int {
	o := opAt(number)
	if o == nil {
		return fail(errno.New(errno.BadFlow, "%d is no operation that was started", int(number)))
	}
	o.cancel()
	return 0
}

// allocate begins a call that gives a flow.
func allocate(bell C.int, timeout C.int64_t, f func(context.Context, *ouroboros.Client) (*ouroboros.Flow, error)) C.int {
	dir := runtimeDir()
	return begin(bell, timeout, func(ctx context.Context, o *op) (int, error) {
		c, err := client(dir)
		if err != nil {
			return 0, err
		}
		fl, err := f(ctx, c)
		if err != nil {
			return 0, err
		}
		o.qos, o.hasQoS = fl.QoS(), true
		return put(fl)
	})
}

//export core_alloc
func core_alloc(dst *C.char, q *C.qosspec_t, timeout C.int64_t, bell C.int) C.int {
	name := C.GoString(dst)
	spec := qos.Raw
	if q != nil {
		spec = specFromC(q)
	}
	return allocate(bell, timeout, func(ctx context.Context, c *ouroboros.Client) (*ouroboros.Flow, error) {
		return c.Alloc(ctx, name, &spec)
	})
}

//export core_accept
func core_accept(timeout C.int64_t, bell C.int) C.int {
	return allocate(bell, timeout, func(ctx context.Context, c *ouroboros.Client) (*ouroboros.Flow, error) {
		return c.Accept(ctx)
	})
}

//export core_join
func core_join(layer *C.char, timeout C.int64_t, bell C.int) C.int {
	name := C.GoString(layer)
	return allocate(bell, timeout, func(ctx context.Context, c *ouroboros.Client) (*ouroboros.Flow, error) {
		return c.Join(ctx, name)
	})
}

func specFromC(q *C.qosspec_t) qos.Spec {
	return qos.Spec{
		Delay: uint32(q.delay), Bandwidth: uint64(q.bandwidth), Availability: uint8(q.availability),
		Loss: uint32(q.loss), BER: uint32(q.ber), InOrder: q.in_order != 0,
		MaxGap: uint32(q.max_gap), Timeout: uint32(q.timeout),
	}
}

func specToC(s qos.Spec) C.qosspec_t {
	q := C.qosspec_t{
		delay: C.uint32_t(s.Delay), bandwidth: C.uint64_t(s.Bandwidth), availability: C.uint8_t(s.Availability),
		loss: C.uint32_t(s.Loss), ber: C.uint32_t(s.BER),
		max_gap: C.uint32_t(s.MaxGap), timeout: C.uint32_t(s.Timeout),
	}
	if s.InOrder {
		q.in_order = 1
	}
	return q
}
