package rundir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
)

// maxSocketPath is the longest path of a Unix socket in bytes.
const maxSocketPath = 107

// Directory is a runtime directory that belongs to this daemon until Close.
type Directory struct {
	Path string
	// Private says that only the daemon's own user can reach the sockets.
	Private bool

	lock *os.File
}

// Claim makes the directory if needed and takes it for this daemon; an empty
// path means Default. ErrExist when a daemon lives there already, ErrPerm when
// the directory cannot be made or is not safe to use.
//
// The lock is an flock, which ends with its daemon however that ends: sockets
// found in a claimed directory are those of a dead one.
func Claim(path string) (*Directory, error) {
	if path == "" {
		path = Default()
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	if n := len(filepath.Join(path, FlowSocket)); n > maxSocketPath {
		return nil, errno.New(errno.Invalid,
			"cannot live in %s: the path of a socket in it has %d bytes, and %d is the most", path, n, maxSocketPath).
			Next("choose a shorter directory with %s", Env)
	}
	uid := os.Geteuid()
	mode := fs.FileMode(0o755)
	if uid != 0 {
		mode = 0o700
	}
	if err := make1(path, mode); err != nil {
		return nil, refused(path, err)
	}
	if err := trusted(path, uid); err != nil {
		return nil, errno.New(errno.Perm, "cannot live in %s: %v", path, err).
			Next("remove it, or choose another directory with %s", Env)
	}
	fi, err := os.Stat(path)
	if err != nil {
		return nil, refused(path, err)
	}
	lock, err := lock(filepath.Join(path, LockFile))
	if err != nil {
		return nil, err
	}
	return &Directory{Path: path, Private: fi.Mode().Perm()&0o055 == 0, lock: lock}, nil
}

// make1 makes the directory, its parents too, with exactly the given mode
// whatever the umask is. An existing one stays as it is.
func make1(path string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(path, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

func refused(path string, err error) error {
	sentinel := error(errno.Perm)
	if n := errno.Number(err); n != 0 {
		sentinel = errno.Of(n)
	}
	return errno.New(sentinel, "cannot make the runtime directory: %v", err).
		Next("choose another one with %s", Env)
}

// lock takes the lock file, or says who has it.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, refused(filepath.Dir(path), err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer f.Close()
		return nil, occupied(f)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func occupied(f *os.File) error {
	dir := filepath.Dir(f.Name())
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return errno.New(errno.Exist, "another irmd is starting or stopping in %s", dir).
			Next("try again, or choose another directory with %s", Env)
	}
	return errno.New(errno.Exist, "another irmd already runs here as pid %d (%s)", pid, dir).
		Next("stop it with: kill %d, or choose another directory with %s", pid, Env)
}

// Socket is the path of a socket in the directory. What is there already is
// removed: it belongs to a daemon that is dead.
func (d *Directory) Socket(name string) (string, error) {
	path := filepath.Join(d.Path, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("take over a stale socket: %w", err)
	}
	return path, nil
}

// Close removes the sockets and gives the directory up. The lock file stays:
// removing it would let two daemons lock two files of one name.
func (d *Directory) Close() error {
	os.Remove(filepath.Join(d.Path, FlowSocket))
	os.Remove(filepath.Join(d.Path, APISocket))
	d.lock.Truncate(0)
	return d.lock.Close()
}
