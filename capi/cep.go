package main

/*
#include "core.h"
*/
import "C"

import (
	"unsafe"

	"ouroboros/internal/errno"
	"ouroboros/internal/wire/cep"
	"ouroboros/internal/wire/dt"
)

//export core_cep_encode
func core_cep_encode(in *C.struct_conn_info, buf *C.char) C.int {
	m := cep.Message{
		Component: text(in.comp_name[:]), Protocol: text(in.protocol[:]),
		Version: int32(in.pref_version), Syntax: int32(in.pref_syntax), Address: dt.Addr(in.addr),
	}
	n := m.Size()
	if n > cep.MaxSize {
		return fail(errno.New(errno.Perm, "cannot send a connection message of %d bytes", n).
			Next("choose shorter names: it has %d bytes at most", cep.MaxSize))
	}
	m.Put(unsafe.Slice((*byte)(unsafe.Pointer(buf)), n))
	return C.int(n)
}

//export core_cep_decode
func core_cep_decode(buf *C.char, n C.size_t, out *C.struct_conn_info) C.int {
	m, err := cep.Parse(bytesOf(unsafe.Pointer(buf), n))
	if err != nil {
		return fail(errno.New(errno.Perm, "what came is no connection message: %v", err))
	}
	putField(out.comp_name[:], m.Component)
	putField(out.protocol[:], m.Protocol)
	out.pref_version = C.uint32_t(m.Version)
	out.pref_syntax = uint32(m.Syntax)
	out.addr = C.uint64_t(m.Address)
	return 0
}
