package cert

import (
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"ouroboros/internal/errno"
)

// Modes of what is written.
const (
	secretMode = 0o600
	publicMode = 0o644
)

// output is a file to be written.
type output struct {
	path string
	data []byte
	mode fs.FileMode
}

func pemOutput(path, kind string, der []byte, mode fs.FileMode) output {
	return output{path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode}
}

// mayWrite is nil when none of the paths is taken, or they may be replaced. It
// is asked before the work begins; write makes sure.
func mayWrite(replace bool, paths ...string) error {
	for _, p := range paths {
		_, err := os.Lstat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return errno.New(errno.Of(errno.Number(err)), "cannot look for %s: %v", p, reason(err))
		case !replace:
			return taken(p)
		}
	}
	return nil
}

func taken(path string) error {
	return errno.New(errno.Exist, "%s is there already", path).Next("add the word replace to overwrite it, or name another place")
}

// write writes files, and their directories as far as they are missing: those
// below ca for their owner only. What it has written when it fails stays.
func write(replace bool, files ...output) error {
	for _, f := range files {
		if err := writeFile(f, replace); err != nil {
			if errors.Is(err, fs.ErrExist) {
				return taken(f.path)
			}
			return errno.New(errno.Of(errno.Number(err)), "cannot write %s: %v", f.path, reason(err)).
				Next("see that %s is a directory that you may write to", filepath.Dir(f.path))
		}
	}
	return nil
}

// writeFile puts a whole file in its place in one step.
func writeFile(f output, replace bool) (err error) {
	dir := filepath.Dir(f.path)
	if err := makeDir(dir); err != nil {
		return err
	}
	t, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	mode := f.mode
	if gid, ok := readers(f); ok {
		err = t.Chown(-1, gid)
		mode |= 0o040
	}
	if err == nil {
		_, err = t.Write(f.data)
	}
	if err == nil {
		err = t.Chmod(mode)
	}
	if err == nil {
		err = t.Sync()
	}
	if cerr := t.Close(); err == nil {
		err = cerr
	}
	switch {
	case err != nil:
		return err
	case replace:
		return os.Rename(t.Name(), f.path)
	}
	return os.Link(t.Name(), f.path)
}

// readers gives the group that may read a private key besides its owner: when
// root makes it, that of the security directory, so that a daemon that is not
// root can use a key, and cannot change it. There is none for the keys of
// authorities, which no daemon needs.
func readers(f output) (gid int, ok bool) {
	side := filepath.Dir(filepath.Dir(f.path))
	if f.mode != secretMode || os.Geteuid() != 0 || filepath.Base(side) == authorities {
		return 0, false
	}
	fi, err := os.Stat(filepath.Dir(side))
	if err != nil {
		return 0, false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	return int(st.Gid), ok && st.Gid != 0
}

// makeDir makes a directory. The private keys of authorities lie in one that
// nobody else enters.
func makeDir(dir string) error {
	if above := filepath.Dir(dir); filepath.Base(above) == authorities {
		if err := os.MkdirAll(filepath.Dir(above), 0o755); err != nil {
			return err
		}
		if err := os.MkdirAll(above, 0o700); err != nil {
			return err
		}
		return os.MkdirAll(dir, 0o700)
	}
	return os.MkdirAll(dir, 0o755)
}

// reason gives what the system said, without the operation and the path.
func reason(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}
