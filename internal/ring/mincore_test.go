package ring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mincore tells which pages of a mapping are resident.
func mincore(mem, pages []byte) error {
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mem[0])), uintptr(len(mem)), uintptr(unsafe.Pointer(&pages[0]))); e != 0 {
		return e
	}
	return nil
}
