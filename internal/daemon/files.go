package daemon

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wantedFiles is how many descriptors a daemon with the right to raise limits
// gives itself: each flow takes some.
const wantedFiles = 1 << 20

// raiseFiles raises the limits of open files as far as this process may, and
// gives what it has then. The runtime of Go raises the soft limit to the hard
// one by itself and lowers it again for children; what is raised here goes
// past its back, so that children still get the soft limit that the daemon
// was started with.
func raiseFiles() uint64 {
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &now) != nil {
		return 0
	}
	if now.Max < wantedFiles {
		if wanted := (unix.Rlimit{Cur: wantedFiles, Max: wantedFiles}); prlimit(&wanted) == nil {
			return wanted.Cur
		}
	}
	if now.Cur < now.Max {
		if wanted := (unix.Rlimit{Cur: now.Max, Max: now.Max}); prlimit(&wanted) == nil {
			return wanted.Cur
		}
	}
	return now.Cur
}

func prlimit(l *unix.Rlimit) error {
	_, _, e := unix.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(l)), 0, 0, 0)
	if e != syscall.Errno(0) {
		return e
	}
	return nil
}
