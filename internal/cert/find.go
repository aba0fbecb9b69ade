package cert

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
)

// Store is what the node that uses the directory trusts.
func (d Dir) Store() *crypt.Store { return crypt.NewStore(crypt.StoreDirsBelow(string(d)), nil) }

// place is where a certificate lies, and what it is for there.
type place struct {
	path string
	kind Kind
	dst  string // name of the server, for one of a side
}

// each gives all places of certificates in the directory that exist.
func (d Dir) each() ([]place, error) {
	var all []place
	for _, in := range []struct {
		dir  string
		kind Kind
		deep bool // a directory for each name
	}{
		{authorities, KindAuthority, true}, {trusted, KindTrusted, false}, {between, KindBetween, false},
		{string(Server), KindServer, true}, {string(Client), KindClient, true}, {revoked, KindRevoked, false},
	} {
		entries, err := os.ReadDir(d.join(in.dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, errno.New(errno.Of(errno.Number(err)), "cannot read %s: %v", d.join(in.dir), reason(err))
		}
		for _, e := range entries {
			p := place{path: d.join(in.dir, e.Name()), kind: in.kind}
			switch {
			case strings.HasPrefix(e.Name(), "."):
				continue
			case in.deep:
				p.path = filepath.Join(p.path, certFile)
				if in.kind != KindAuthority {
					p.dst = e.Name()
				}
				if _, err := os.Stat(p.path); errors.Is(err, fs.ErrNotExist) {
					continue
				}
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// look reads the certificate of a place. One that cannot be read says so.
func (p place) look(store *crypt.Store) *Info {
	c, err := crypt.ReadCertificate(p.path)
	if err == nil && c == nil {
		err = missing(p.path)
	}
	if err != nil {
		return &Info{Path: p.path, Kind: p.kind, For: p.dst, State: Unreadable, Problem: err.Error()}
	}
	i := describe(p.path, c)
	i.Kind, i.For = p.kind, p.dst
	i.judge(c, store, time.Now())
	return i
}

// List gives all certificates of the directory.
func (d Dir) List() ([]*Info, error) {
	places, err := d.each()
	if err != nil {
		return nil, err
	}
	store := d.Store()
	infos := []*Info{}
	for _, p := range places {
		infos = append(infos, p.look(store))
	}
	return infos, nil
}

// Find gives the certificates that a word means: the path of a file, or a name
// that has certificates in the directory.
func (d Dir) Find(word string) ([]*Info, error) {
	places, err := d.find(word)
	if err != nil {
		return nil, err
	}
	store := d.Store()
	var infos []*Info
	for _, p := range places {
		infos = append(infos, p.look(store))
	}
	return infos, nil
}

func (d Dir) find(word string) (found []place, err error) {
	all, err := d.each()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		switch {
		case p.kind == KindRevoked:
		case p.dst == word, p.kind == KindAuthority && filepath.Base(filepath.Dir(p.path)) == word,
			p.kind == KindTrusted && strings.TrimSuffix(filepath.Base(p.path), ".pem") == word:
			found = append(found, p)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	path, err := filepath.Abs(word)
	if err != nil {
		return nil, err
	}
	for _, p := range all { // one of the directory, by its path
		if p.path == path {
			return []place{p}, nil
		}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e := errno.New(errno.NoEntry, "there is no certificate %q: neither a file, nor a name in %s", word, d)
		return nil, e.Next("see them with: irm cert list")
	case err != nil:
		return nil, errno.New(errno.Of(errno.Number(err)), "cannot read %s: %v", word, reason(err))
	case info.IsDir():
		return nil, errno.New(errno.Invalid, "%s is a directory", word).Next("name a file in it")
	}
	return []place{{path: path, kind: KindFile}}, nil
}

// Revoke takes the trust from the certificates that a word means, as Find does.
// Those of authorities are meant only by their path.
func (d Dir) Revoke(word string) ([]*Info, error) {
	places, err := d.find(word)
	if err != nil {
		return nil, err
	}
	store := d.Store()
	var infos []*Info
	seen := map[string]bool{}
	for _, p := range places {
		if (p.kind == KindAuthority || p.kind == KindTrusted) && len(places) > 1 && p.path != word {
			continue
		}
		i := p.look(store)
		if i.State == Unreadable {
			return nil, errno.New(errno.Invalid, "cannot revoke %s: %s", p.path, i.Problem)
		}
		if seen[i.Fingerprint] {
			continue
		}
		seen[i.Fingerprint] = true
		c, err := crypt.ReadCertificate(p.path)
		if err != nil {
			return nil, err
		}
		to := d.join(revoked, fileName(i.Name)+i.Fingerprint[:16]+".pem")
		if err := write(true, pemOutput(to, "CERTIFICATE", c.X509.Raw, publicMode)); err != nil {
			return nil, because(err, "cannot revoke the certificate of %q", i.Name)
		}
		i.Path = to
		infos = append(infos, i)
	}
	if len(infos) == 0 {
		return nil, errno.New(errno.Invalid, "%q is an authority: without it all certificates that it has issued are refused", word).
			Next("if that is what you want: irm cert revoke %s", places[0].path)
	}
	return infos, nil
}

// fileName gives the beginning of a file's name from a name; empty when it
// does not fit.
func fileName(name string) string {
	if len(name) > 100 || CheckName("name", name) != nil || strings.HasPrefix(name, ".") {
		return ""
	}
	return name + "-"
}
