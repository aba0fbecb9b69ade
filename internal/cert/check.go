package cert

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
	"ouroboros/internal/oap"
)

// Finding is one thing that a check has looked at.
type Finding struct {
	Path string `json:"path"` // of the file, or directory, that it is about
	OK   bool   `json:"ok"`
	Text string `json:"text"` // what is so, or what is wrong
	Hint string `json:"hint"` // the next step; may be empty
}

// soon is how long before the end of a certificate a check speaks of it.
const soon = 30 * 24 * time.Hour

// paths are those of the files of one side of a name.
type paths struct {
	pair
	enc string
}

// pathsOf gives them, with the default place for those that are not set.
func pathsOf(s oap.Security) paths {
	at := func(set, name string) string {
		if set == "" && s.Dir != "" {
			return filepath.Join(s.Dir, name)
		}
		return set
	}
	return paths{pair{at(s.Certificate, certFile), at(s.Key, keyFile)}, at(s.Encryption, encFile)}
}

// findings gathers them.
type findings struct {
	all   []Finding
	store *crypt.Store
	now   time.Time
}

func (f *findings) good(path, format string, args ...any) {
	f.all = append(f.all, Finding{Path: path, OK: true, Text: fmt.Sprintf(format, args...)})
}

func (f *findings) bad(path, hint, format string, args ...any) {
	f.all = append(f.all, Finding{Path: path, Text: fmt.Sprintf(format, args...), Hint: hint})
}

func (f *findings) err(path string, err error) {
	var p *crypt.Problem
	if errors.As(err, &p) {
		f.bad(path, p.Hint, "%s", strings.TrimPrefix(p.Cause, path+": "))
		return
	}
	f.bad(path, "", "%v", err)
}

// certificate looks at one that this node shows, or is shown.
func (f *findings) certificate(path string) *crypt.Certificate {
	c, err := crypt.ReadCertificate(path)
	switch {
	case err != nil:
		f.err(path, err)
		return nil
	case c == nil:
		return nil
	}
	if _, err := c.Key(); err != nil {
		f.bad(path, "", "the key of the certificate cannot be used: %v", err)
	}
	if err := f.store.Verify(c, f.now); err != nil {
		f.err(path, err)
		return c
	}
	i := describe(path, c)
	f.good(path, "certificate of %q, issued by %q, %s, valid until %s", i.Name, i.Issuer, i.Algorithm, day(i.End))
	if left := i.End.Sub(f.now); left < soon {
		f.bad(path, "issue a new one with: irm cert issue", "the certificate of %q ends in %d days, on %s", i.Name, int(left.Hours()/24), day(i.End))
	}
	return c
}

// identity looks at the certificate and the key with which a side shows who it
// is, and gives the certificate.
func (f *findings) identity(files paths) *crypt.Certificate {
	c := f.certificate(files.cert)
	key, err := crypt.ReadSigner(files.key)
	switch {
	case err != nil:
		f.err(files.key, err)
	case c == nil && key == nil:
		return nil
	case c == nil:
		if _, err := os.Stat(files.cert); errors.Is(err, fs.ErrNotExist) {
			f.bad(files.cert, "issue one with: irm cert issue", "there is a private key, and no certificate for it: this side stays anonymous")
		}
	case key == nil:
		f.bad(files.key, "issue both anew with: irm cert issue", "there is a certificate, and no private key for it: this side stays anonymous")
	case !key.Matches(c):
		f.bad(files.key, "issue both anew with: irm cert issue", "the private key is not that of the certificate %s: the other side will refuse it", files.cert)
	default:
		f.good(files.key, "the private key fits")
	}
	key.Wipe()
	return c
}

// encryption looks at the settings.
func (f *findings) encryption(path string) *crypt.Encryption {
	e, _, err := crypt.ReadEncryption(path)
	switch {
	case err != nil:
		f.err(path, err)
		return nil
	case e == nil:
		return nil
	}
	f.good(path, "flows are encrypted: %s, %s, %s", e.Exchange, e.Cipher, e.KDF)
	for _, line := range e.Ignored {
		f.bad(path, "see whether there is a typing error", "%s", line)
	}
	if !e.Cipher.Authenticated() {
		f.bad(path, "use aes-256-gcm or chacha20-poly1305", "with %s whoever carries a packet can change it unnoticed", e.Cipher)
	}
	return e
}

// side looks at all files of one side of a name. A name without any gives no
// findings: this side is anonymous, and does not ask for encryption.
func (f *findings) side(side Side, name string, s oap.Security) {
	files := pathsOf(s)
	c := f.identity(files)
	if c != nil && side == Server && c.Name != name {
		f.bad(files.cert, "issue one for this name with: irm cert issue "+name,
			"the certificate is for %q and not for %q: clients will refuse it", c.Name, name)
	}
	e := f.encryption(files.enc)
	if _, err := os.Stat(files.enc); s.RequireEncryption && side == Client && e == nil && err == nil {
		f.bad(files.enc, "write it anew with: irm cert encrypt "+name+" client replace", "encryption is demanded, and this says none: no flow can be allocated")
	}
	if s.RequireEncryption && e != nil && !e.Cipher.Authenticated() {
		f.bad(files.enc, "choose another cipher", "encryption is demanded, and %s does not count as that: no flow can be allocated", e.Cipher)
	}
	if s.RequireAuth || len(s.Allow) > 0 {
		if len(f.store.Authorities()) == 0 {
			of := map[Side]string{Server: "clients", Client: "the server"}[side]
			f.bad("", "trust one with: irm cert trust FILE", "a certificate is demanded of %s, and no authority is trusted: no flow can be allocated", of)
		}
	}
	if side == Client && e != nil && e.Encapsulate {
		f.kem(s.Dir, kemPublic, "the client encapsulates, and has no key of the server to do it for: no flow can be allocated")
	}
}

// kem sees that a static key is there in one of its forms.
func (f *findings) kem(dir, name, without string) {
	for _, ending := range []string{".pem", ".raw"} {
		if _, err := os.Stat(filepath.Join(dir, name+ending)); err == nil {
			f.good(filepath.Join(dir, name+ending), "there is a key of the server")
			return
		}
	}
	f.bad(filepath.Join(dir, name), "make it with: irm cert kem", "%s", without)
}

// Examine looks at the files with which a node stands for one side of a name,
// and gives what is wrong with them, for people.
func Examine(side Side, name string, s oap.Security, store *crypt.Store) (problems []string) {
	f := findings{store: store, now: time.Now()}
	f.side(side, name, s)
	for _, x := range f.all {
		if !x.OK {
			problems = append(problems, x.String())
		}
	}
	return problems
}

// String is a finding in a line: which file, what of it, and what to do next.
func (x Finding) String() string {
	s := x.Text
	if x.Path != "" && !strings.Contains(x.Text, x.Path) {
		s = x.Path + ": " + s
	}
	if x.Hint != "" {
		s += "; " + x.Hint
	}
	return s
}

// Check looks at what a word means: all files of a name, or one certificate.
// The empty word means everything in the directory.
func (d Dir) Check(word string) ([]Finding, error) {
	f := findings{store: d.Store(), now: time.Now()}
	for _, err := range f.store.Problems() {
		f.err(string(d), err)
	}
	if word == "" {
		return f.everything(d)
	}
	if f.name(d, word) {
		return f.all, nil
	}
	places, err := d.find(word)
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		f.place(p)
	}
	return f.all, nil
}

// everything looks at all names, and all authorities.
func (f *findings) everything(d Dir) ([]Finding, error) {
	names := make(map[string]bool)
	for _, side := range []Side{Server, Client} {
		entries, err := os.ReadDir(d.join(string(side)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, errno.New(errno.Of(errno.Number(err)), "cannot read %s: %v", d.join(string(side)), reason(err))
		}
		for _, e := range entries {
			if e.IsDir() {
				names[e.Name()] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f.name(d, name)
	}
	places, err := d.each()
	if err != nil {
		return nil, err
	}
	for _, p := range places {
		if p.kind == KindAuthority || p.kind == KindTrusted {
			f.place(p)
		}
	}
	return f.all, nil
}

// name looks at both sides of a name, and reports whether it has any files.
func (f *findings) name(d Dir, name string) (known bool) {
	for _, side := range []Side{Server, Client} {
		s := oap.Security{Dir: oap.DefaultDir(string(d), string(side), name)}
		if s.Dir == "" {
			continue
		}
		if _, err := os.Stat(s.Dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		known = true
		f.side(side, name, s)
	}
	return known
}

// place looks at one certificate, and the key of an authority.
func (f *findings) place(p place) {
	f.certificate(p.path)
	if p.kind != KindAuthority {
		return
	}
	path := filepath.Join(filepath.Dir(p.path), keyFile)
	key, err := crypt.ReadSigner(path)
	if err != nil {
		f.err(path, err)
	}
	key.Wipe()
}
