package daemon

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/registry"
)

// state is the file that keeps what an administrator has set up. It belongs
// to this daemon until Close.
type state struct {
	registry.FileStore
	lock *os.File
}

// openState takes the state file for this daemon, and makes its directory.
func openState(path string) (*state, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, cannotKeep(path, err)
	}
	f, err := os.OpenFile(path+lockEnding, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, cannotKeep(path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errno.New(errno.Exist, "cannot keep the state in %s: another daemon does", path).
				Next("choose another state_file in [daemon] of the configuration")
		}
		return nil, cannotKeep(path, err)
	}
	return &state{registry.FileStore{Path: path}, f}, nil
}

func cannotKeep(path string, err error) error {
	return errno.New(errno.Of(errno.Number(err)), "cannot keep the state in %s: %v", path, err).
		Next("choose another state_file in [daemon] of the configuration, or state = \"forget\"")
}

// lockEnding makes the name of a state's lock file from its own.
const lockEnding = ".lock"

// Close gives the file to whoever comes next. The lock file stays: removing
// it would let two daemons lock two files of one name.
func (s *state) Close() error { return s.lock.Close() }

// statePath is where the state is kept when the configuration does not say:
// in the state directory of the service manager or of the user, but beside
// the sockets when the directory of those was chosen.
func statePath(dir string, chosen bool) string {
	const name = "state.json"
	if chosen {
		return filepath.Join(dir, name)
	}
	if d := os.Getenv("STATE_DIRECTORY"); filepath.IsAbs(d) {
		return filepath.Join(d, name)
	}
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib/ouroboros", name)
	}
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "ouroboros", name)
	}
	if d, err := os.UserHomeDir(); err == nil && filepath.IsAbs(d) {
		return filepath.Join(d, ".local", "state", "ouroboros", name)
	}
	return filepath.Join(dir, name)
}
