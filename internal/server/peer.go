package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/registry"
)

// peer is who connected, as the kernel says: the credentials of the process at
// the time of its connect.
type peer struct {
	pid    int
	uid    uint32
	gid    uint32
	groups []uint32 // supplementary
}

// peerOf asks the kernel who is at the other end.
func peerOf(c *net.UnixConn) (*peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var p peer
	var failed error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); failed != nil {
			return
		}
		p.pid, p.uid, p.gid = int(cred.Pid), cred.Uid, cred.Gid
		p.groups, failed = peerGroups(int(fd))
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("credentials of a client: %w", err)
	}
	if p.pid <= 0 {
		return nil, errno.New(errno.Perm, "cannot use this node: the process is in a PID namespace that the daemon cannot see").
			Next("start a daemon in that namespace with: irmd")
	}
	return &p, nil
}

// peerGroups gives the supplementary groups of the other end.
func peerGroups(fd int) ([]uint32, error) {
	groups := make([]uint32, 32)
	for {
		size := uint32(4 * len(groups))
		_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case e == 0:
			return groups[:size/4], nil
		case e == unix.ERANGE && int(size) > 4*len(groups):
			groups = make([]uint32, size/4)
		case e == unix.ENOPROTOOPT: // kernels before 4.13
			return nil, nil
		default:
			return nil, e
		}
	}
}

// pidfd gives a descriptor that becomes readable when the process ends.
func (p *peer) pidfd(c *net.UnixConn) (*os.File, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if cerr := raw.Control(func(s uintptr) {
		fd, err = unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	}); cerr != nil {
		return nil, cerr
	}
	if errors.Is(err, unix.ENOPROTOOPT) { // kernels before 6.5
		fd, err = unix.PidfdOpen(p.pid, 0)
	}
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// ended reports whether the process of a pidfd has ended.
func ended(fd uintptr) bool {
	set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(set, 0)
	return n > 0 && err == nil
}

// awaitEnd returns when the process has ended, or the file is closed.
func awaitEnd(pidfd *os.File) (gone bool) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return false
	}
	return raw.Read(ended) == nil
}

// longest command line that is looked at, in bytes.
const maxArgs = 64 << 10

// identity describes the process for the registry. What cannot be read, of a
// process of another user, stays empty. ErrPipe when the process has ended:
// the pid may be somebody else's by now. ErrNoFiles when the node has no
// descriptors to look with: what it did not see is not empty.
func (p *peer) identity(pidfd *os.File) (registry.Identity, error) {
	id := registry.Identity{PID: p.pid, UID: p.uid, GID: p.gid}
	proc := filepath.Join("/proc", strconv.Itoa(p.pid))
	id.Exe, _ = os.Readlink(filepath.Join(proc, "exe"))
	id.Dir, _ = os.Readlink(filepath.Join(proc, "cwd"))
	var err error
	if id.Args, err = readArgs(filepath.Join(proc, "cmdline")); outOfFiles(err) {
		return id, errNoFiles()
	}
	id.Group, _ = unix.Getpgid(p.pid)
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return id, err
	}
	gone := false
	if err := raw.Control(func(fd uintptr) { gone = ended(fd) }); err != nil {
		return id, err
	}
	if gone {
		return id, errno.New(errno.Pipe, "process %d has ended", p.pid)
	}
	return id, nil
}

func readArgs(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, maxArgs)
	n, err := f.Read(buf)
	var args []string
	for arg := range bytes.SplitSeq(bytes.TrimSuffix(buf[:n], []byte{0}), []byte{0}) {
		args = append(args, string(arg))
	}
	return args, err
}

// errNoFiles is for a client whom the node has no descriptors to look at.
func errNoFiles() error {
	return errno.New(errno.NoFiles, "cannot use this node: it has no file descriptors left").
		Next("raise the limit of the daemon (LimitNOFILE, ulimit -n)")
}

// outOfFiles reports whether err says that descriptors or memory ran out.
func outOfFiles(err error) bool {
	for _, e := range []syscall.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
