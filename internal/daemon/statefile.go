package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/registry"
)

// stateFile keeps what an administrator has set up, as JSON:
//
//	{"version": 1, "state": {"names": [...], "programs": [...], "ipcps": [...]}}
//
// It is replaced as a whole: what is on disk is always one complete state,
// also after a crash in the middle of a write. One daemon at a time may have
// it.
type stateFile struct {
	path string
	lock *os.File
}

var _ registry.Store = (*stateFile)(nil)

// stateVersion is that of the form of the file.
const stateVersion = 1

// maxState is the longest file that is read, in bytes.
const maxState = 64 << 20

type savedState struct {
	Version int                `json:"version"`
	State   *registry.Snapshot `json:"state"`
}

// openState takes the state file for this daemon, and makes its directory.
func openState(path string) (*stateFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, cannotKeep(path, err)
	}
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
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
	return &stateFile{path: path, lock: f}, nil
}

func cannotKeep(path string, err error) error {
	return errno.New(errno.Of(errno.Number(err)), "cannot keep the state in %s: %v", path, err).
		Next("choose another state_file in [daemon] of the configuration, or state = \"forget\"")
}

// Load implements registry.Store.
func (s *stateFile) Load() (*registry.Snapshot, error) {
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && info.Size() > maxState {
		err = fmt.Errorf("it is longer than %d bytes", maxState)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(s.path)
	}
	if err != nil {
		return nil, s.unreadable(err)
	}
	return s.decode(data)
}

func (s *stateFile) decode(data []byte) (*registry.Snapshot, error) {
	var saved savedState
	if err := json.Unmarshal(data, &saved); err != nil {
		return nil, s.unreadable(err)
	}
	if saved.Version != stateVersion {
		return nil, s.unreadable(fmt.Errorf("it has version %d, and this daemon knows version %d", saved.Version, stateVersion))
	}
	return saved.State, nil
}

func (s *stateFile) unreadable(err error) error {
	return errno.New(errno.Invalid, "cannot read the state in %s: %v", s.path, err).
		Next("remove the file to begin anew")
}

// Save implements registry.Store.
func (s *stateFile) Save(snap *registry.Snapshot) error {
	data, err := json.MarshalIndent(savedState{stateVersion, snap}, "", "\t")
	if err != nil {
		return err
	}
	dir := filepath.Dir(s.path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(s.path)+".*") // 0600
	if err != nil {
		return cannotKeep(s.path, err)
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		os.Remove(f.Name())
		return cannotKeep(s.path, err)
	}
	// The rename is on disk when the directory is.
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
	return nil
}

// Close gives the file to whoever comes next. The lock file stays: removing
// it would let two daemons lock two files of one name.
func (s *stateFile) Close() error { return s.lock.Close() }

// statePath is where the state is kept when the configuration does not say:
// in the state directory of the service manager or of the user, but beside
// the sockets when the daemon lives in a directory of its own choosing.
func statePath(dir, standard string) string {
	const name = "state.json"
	if dir != standard {
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
