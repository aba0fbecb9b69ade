package crypt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// StoreDirs are the directories of a Store; "" = there is none, as when it does
// not exist. Each holds certificates in PEM, the first of a file counting.
// Names that begin with a dot are passed over.
type StoreDirs struct {
	Authorities   string // signed by themselves: whom this node trusts
	Intermediates string // through whom chains may lead; none is trusted for being here
	Revoked       string // whom this node does not trust any more: certificates, and lists that an authority issues (X509 CRL)
}

// Store is what a node knows of others' certificates. It reads its directories
// again when something in them has changed, so that a revocation holds from
// the next flow on. Its methods may be called from any goroutine.
//
// What cannot be read makes nobody trusted: an authority in a broken file is
// left out, and with a broken file of revoked certificates every certificate is
// refused. Each is logged once, and is among Problems.
type Store struct {
	dirs StoreDirs
	log  *slog.Logger

	mu   sync.Mutex
	seen string // what the directories looked like
	now  *trusted
}

// trusted is the contents of the directories at one moment. It does not change.
type trusted struct {
	dirs          StoreDirs
	authorities   []*Certificate
	intermediates []*Certificate
	revoked       revoked
	problems      []error
	broken        error // nobody can be trusted
}

// maxEntries is the most entries of a directory that count.
const maxEntries = 4096

// NewStore makes a store. Without a logger it does not log.
func NewStore(dirs StoreDirs, log *slog.Logger) *Store {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Store{dirs: dirs, log: log}
}

// StoreDirsBelow are the directories of a store in their default places.
func StoreDirsBelow(security string) StoreDirs {
	if security == "" {
		return StoreDirs{}
	}
	return StoreDirs{
		Authorities:   filepath.Join(security, "cacert"),
		Intermediates: filepath.Join(security, "untrusted"),
		Revoked:       filepath.Join(security, "revoked"),
	}
}

// Problems are those of the files as they are now.
func (s *Store) Problems() []error { return s.current().problems }

// Authorities are those whom this node trusts now.
func (s *Store) Authorities() []*Certificate { return s.current().authorities }

// current reads the directories if they have changed. A nil store has none.
func (s *Store) current() *trusted {
	if s == nil {
		return &trusted{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.dirs.look()
	if s.now != nil && s.seen == seen {
		return s.now
	}
	t := s.dirs.read()
	for _, p := range t.problems {
		if s.now == nil || !s.now.has(p) {
			s.log.Error("a file of certificates does not count", "err", p)
		}
	}
	// What was written while it was being read is seen by the next call: that
	// finds the directories other than they were before the reading.
	s.now, s.seen = t, seen
	return t
}

func (t *trusted) has(problem error) bool {
	for _, p := range t.problems {
		if p.Error() == problem.Error() {
			return true
		}
	}
	return false
}

// isAuthority reports whether this very certificate is one of an authority.
func (t *trusted) isAuthority(c *Certificate) bool {
	for _, a := range t.authorities {
		if bytes.Equal(a.X509.Raw, c.X509.Raw) {
			return true
		}
	}
	return false
}

// racy is how young a change can be for another one to have the same time.
const racy = 100 * time.Millisecond

// look describes the directories, so that a change makes another description.
func (d StoreDirs) look() string {
	var b bytes.Buffer
	for _, dir := range []string{d.Authorities, d.Intermediates, d.Revoked} {
		files, err := list(dir)
		fmt.Fprintln(&b, dir, err)
		for _, path := range files {
			info, err := os.Stat(path)
			if err != nil {
				fmt.Fprintln(&b, path, err)
				continue
			}
			fmt.Fprintln(&b, path, info.Size(), info.Mode(), info.ModTime().UnixNano())
			if now := time.Now(); now.Sub(info.ModTime()).Abs() < racy {
				fmt.Fprintln(&b, now.UnixNano())
			}
		}
	}
	return b.String()
}

// list gives the paths in a directory that can matter, in order.
func list(dir string) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, problem("the directory %s cannot be read: %w", dir, cause(err)).next("let the user that the daemon runs as read it")
	}
	var files []string
	for _, e := range entries {
		if e.Name()[0] != '.' {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) > maxEntries {
		return nil, problem("the directory %s has %d files, the most is %d", dir, len(files), maxEntries)
	}
	return files, nil
}

// read reads everything.
func (d StoreDirs) read() *trusted {
	t := &trusted{dirs: d}
	for _, dir := range []struct {
		path string
		add  func(path string, text []byte) error
		must bool // be readable for anybody to be trusted
	}{
		{d.Authorities, t.addAuthority, false},
		{d.Intermediates, t.addIntermediate, false},
		{d.Revoked, t.revoked.add, true},
	} {
		files, err := list(dir.path)
		t.note(err, dir.must)
		for _, path := range files {
			b, ok, err := readFile(path, shared)
			if err == nil && ok {
				err = dir.add(path, b)
			}
			t.note(err, dir.must)
		}
	}
	return t
}

func (t *trusted) note(err error, must bool) {
	if err == nil {
		return
	}
	t.problems = append(t.problems, err)
	if must && t.broken == nil {
		t.broken = problem("no certificate is trusted while it is not known which are revoked: %w", err).
			next("repair or remove that file")
	}
}

func (t *trusted) addAuthority(path string, text []byte) error {
	c, err := ParseCertificatePEM(text)
	switch {
	case err != nil:
		return in(path, err)
	case !c.selfSigned():
		t.intermediates = append(t.intermediates, c)
		return problem("%s: the certificate of %q is not signed by itself, and makes nobody trusted", path, c.called()).
			next("put that of its issuer there, and this one into %s", t.dirs.Intermediates)
	}
	t.authorities = append(t.authorities, c)
	return nil
}

func (t *trusted) addIntermediate(path string, text []byte) error {
	c, err := ParseCertificatePEM(text)
	if err != nil {
		return in(path, err)
	}
	t.intermediates = append(t.intermediates, c)
	return nil
}
