package daemon

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"ouroboros/internal/config"
)

// setIDs changes user and groups of the calling thread alone: the functions of
// package syscall would change all, whose capabilities stay as they were.
func setIDs(u config.Account) error {
	var groups *uint32
	if len(u.Groups) > 0 {
		groups = &u.Groups[0]
	}
	if _, _, e := syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(u.Groups)), uintptr(unsafe.Pointer(groups)), 0); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(unix.SYS_SETRESGID, uintptr(u.GID), uintptr(u.GID), uintptr(u.GID)); e != 0 {
		return e
	}
	if _, _, e := syscall.RawSyscall(unix.SYS_SETRESUID, uintptr(u.UID), uintptr(u.UID), uintptr(u.UID)); e != 0 {
		return e
	}
	return nil
}

// raiseHard raises the limit of open files that a process may set for itself,
// as long as this one has the right to.
func raiseHard() {
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &now) == nil && now.Max < wantedFiles {
		now.Max = wantedFiles
		prlimit(&now)
	}
}
