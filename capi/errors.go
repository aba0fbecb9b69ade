package main

/*
#include "core.h"
extern char *core_text(int number);
*/
import "C"

import (
	"unsafe"

	"ouroboros/internal/errno"
)

// textSize is the room that a thread has for the text of its last error.
const textSize = 512

// say keeps the text of an error for ouro_strerror, in the calling thread.
func say(number int, text string) {
	buf := unsafe.Slice((*byte)(unsafe.Pointer(C.core_text(C.int(number)))), textSize)
	n := copy(buf[:textSize-1], text)
	buf[n] = 0
}

// fail gives the number of an error as calls return it, and keeps its text.
func fail(err error) C.int {
	n := -errno.Number(err)
	if err != errno.Again { // which is no failure, mostly
		say(n, err.Error())
	}
	return C.int(n)
}

//export core_describe
func core_describe(number C.int, buf *C.char, size C.size_t) {
	text := "success"
	if err := errno.Of(int(number)); err != nil {
		text = err.Error()
	}
	putText(buf, size, text)
}

// core_errname gives the symbolic name of a number, if it has one here.
//
//export core_errname
func core_errname(number C.int, buf *C.char, size C.size_t) C.bool {
	e, ok := errno.Of(int(number)).(*errno.Error)
	if ok {
		putText(buf, size, e.Name())
	}
	return C.bool(ok)
}

func putText(buf *C.char, size C.size_t, text string) {
	out := unsafe.Slice((*byte)(unsafe.Pointer(buf)), int(size))
	n := copy(out[:len(out)-1], text)
	out[n] = 0
}
