// Package main is the C library: libouroboros.so, which has the programming
// interface of the C implementation, and what include/ouroboros/ouro.h
// adds to it.
//
//	program ── flow_read ──► C: dev.c set.c irm.c cep.c ──► call.c ──► Go: core_read
//	                          checks, sleeps, is cancelled             never waits
//
// A message that is there, or for which there is room, needs no Go at all: C
// reads and writes the rings of the flow itself (lane.c), by the rules of
// ring.Foreign. Whatever is not that simple goes to Go.
//
// The C half is what programs meet. It checks arguments, refuses what cannot
// be done in a forked child or in the handler of a signal, and sleeps: Go says
// when, and rings an eventfd of the thread when there is something to do. So a
// thread can be cancelled where it waits, handlers of signals run as they do
// in any C program, and no thread of the Go runtime waits for one of C.
//
// What takes time, such as an allocation, is an operation (op.go): a goroutine
// works on it and rings the same way. The calls of ouro.h that are begun and
// finished are these operations with an eventfd of their own.
//
// The Go half calls no function of the program. Its threads are started with
// all signals blocked (quiet.c), and so leave them to the program.
package main

/*
#cgo CFLAGS: -I${SRCDIR}/../include -std=gnu11 -O2 -Wall -Wextra -fvisibility=hidden
#cgo LDFLAGS: -lpthread
#include "core.h"
*/
import "C"

import "os"

func main() {}

// core_start is the first call of all. asked is an eventfd that the C side
// writes when the process exits, and answered the one on which it waits then.
//
//export core_start
func core_start(asked, answered C.int) {
	go func() {
		f := os.NewFile(uintptr(asked), "exit")
		var b [8]byte
		if _, err := f.Read(b[:]); err != nil {
			return
		}
		shut()
		ringBell(int(answered))
	}()
}

// shut deallocates everything.
func shut() {
	current.mu.Lock()
	defer current.mu.Unlock()
	if current.client != nil {
		current.client.Close()
	}
}
