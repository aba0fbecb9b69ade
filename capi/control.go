package main

/*
#include "lane.h"
*/
import "C"

import (
	"time"

	"ouroboros"
	"ouroboros/internal/errno"
)

//export core_set_timeout
func core_set_timeout(fd C.int, writing C.bool, timeout C.int64_t) C.int {
	o, err := look(fd)
	if err != nil {
		return fail(err)
	}
	if writing {
		o.SetWriteTimeout(time.Duration(timeout))
	} else {
		o.SetReadTimeout(time.Duration(timeout))
	}
	return 0
}

//export core_timeout
func core_timeout(fd C.int, writing C.bool, timeout *C.int64_t) C.int {
	o, err := look(fd)
	if err != nil {
		return fail(err)
	}
	d := o.ReadTimeout()
	if writing {
		d = o.WriteTimeout()
	}
	if d < 0 {
		return fail(errno.Perm)
	}
	*timeout = C.int64_t(d)
	return 0
}

//export core_qos
func core_qos(fd C.int, q *C.qosspec_t) C.int {
	o, err := look(fd)
	if err != nil {
		return fail(err)
	}
	*q = specToC(o.QoS())
	return 0
}

//export core_set_flags
func core_set_flags(fd C.int, flags C.uint32_t) C.int {
	o, err := look(fd)
	if err == nil {
		err = o.SetFlags(ouroboros.Flags(flags))
	}
	if err != nil {
		return fail(err)
	}
	o.flagLane()
	return 0
}

//export core_flags
func core_flags(fd C.int, flags *C.uint32_t) C.int {
	o, err := look(fd)
	if err != nil {
		return fail(err)
	}
	*flags = C.uint32_t(o.Flags())
	return 0
}

//export core_queue_len
func core_queue_len(fd C.int, writing C.bool, n *C.size_t) C.int {
	o, err := look(fd)
	if err != nil {
		return fail(err)
	}
	if writing {
		*n = C.size_t(o.TxQueueLen())
	} else {
		*n = C.size_t(o.RxQueueLen())
	}
	return 0
}

//export core_set_frct
func core_set_frct(fd C.int, flags C.uint16_t) C.int {
	o, err := look(fd)
	if err == nil {
		err = o.SetFRCTFlags(ouroboros.FRCTFlags(flags))
	}
	if err != nil {
		return fail(err)
	}
	return 0
}

//export core_frct
func core_frct(fd C.int, flags *C.uint16_t) C.int {
	o, err := look(fd)
	if err != nil {
		return fail(err)
	}
	f, err := o.FRCTFlags()
	if err != nil {
		return fail(err)
	}
	*flags = C.uint16_t(f)
	return 0
}

//export core_mtu
func core_mtu(fd C.int) C.ssize_t {
	o, err := look(fd)
	if err != nil {
		return number(0, err)
	}
	return C.ssize_t(o.MTU())
}

//export core_next_len
func core_next_len(fd C.int) C.ssize_t {
	o, err := look(fd)
	if err != nil {
		return number(0, err)
	}
	return number(o.NextLen())
}
