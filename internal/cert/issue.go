package cert

import (
	"fmt"
	"time"

	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
)

// Request is for a certificate.
type Request struct {
	Name      string   // that it is for
	Authority string   // that issues it; "" = the only one
	To        []string // names of the servers to which it is shown; none = it is that of the server Name
	Into      Dir      // security directory that it is for, with the authority's certificate; "" = this one
	Options
}

// Issue makes a key and a certificate for it, and puts both where the daemon
// looks for them.
func (d Dir) Issue(r Request) (*Made, error) {
	places, err := d.places(r)
	if err != nil {
		return nil, err
	}
	authority, by, ca, err := d.open(r.Authority)
	if err != nil {
		return nil, because(err, "cannot issue a certificate for %q", r.Name)
	}
	defer by.key.Wipe()
	t := template{subject: r.Name}
	if t.begin, t.end, err = r.span(DefaultDays); err != nil {
		return nil, err
	}
	if err := ca.CheckDates(time.Now()); err != nil {
		return nil, errno.New(errno.Invalid, "cannot issue a certificate for %q: %v", r.Name, err)
	}
	var notes []string
	if t.end.After(ca.X509.NotAfter) {
		t.end = ca.X509.NotAfter
		notes = append(notes, fmt.Sprintf("it ends with that of its authority, on %s", day(t.end)))
	}
	if t.begin.Before(ca.X509.NotBefore) {
		t.begin = ca.X509.NotBefore
	}
	if len(r.To) == 0 {
		if note := unknownToC(r.Name); note != "" {
			notes = append(notes, note)
		}
	}
	key, err := r.generate()
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	der, err := t.sign(by, key)
	if err != nil {
		return nil, err
	}
	var files []output
	for _, p := range places {
		f, err := p.outputs(der, key)
		if err != nil {
			return nil, err
		}
		defer clear(f[0].data)
		files = append(files, f...)
	}
	if err := write(r.Replace, files...); err != nil {
		return nil, because(err, "cannot issue a certificate for %q", r.Name)
	}
	m, err := made(places[0].cert, der, places[0].key)
	if err != nil {
		return nil, err
	}
	for _, p := range places[1:] {
		m.Files = append(m.Files, p.cert, p.key)
	}
	m.Notes = notes
	if r.Into == "" || r.Into == d {
		return m, nil
	}
	trust := pemOutput(r.Into.trust(authority), "CERTIFICATE", ca.X509.Raw, publicMode)
	if err := write(true, trust); err != nil {
		return nil, because(err, "cannot let %s trust the authority %q", r.Into, authority)
	}
	m.Files = append(m.Files, trust.path)
	return m, nil
}

// places are where the files of a request go.
func (d Dir) places(r Request) ([]pair, error) {
	into := r.Into
	if into == "" {
		into = d
	}
	if err := CheckName("name", r.Name); err != nil {
		return nil, err
	}
	places := []pair{into.of(Server, r.Name)}
	if len(r.To) > 0 {
		places = nil
	}
	for _, dst := range r.To {
		if err := CheckName("name", dst); err != nil {
			return nil, err
		}
		places = append(places, into.of(Client, dst))
	}
	for _, p := range places {
		if err := mayWrite(r.Replace, p.cert, p.key); err != nil {
			return nil, because(err, "cannot issue a certificate for %q", r.Name)
		}
	}
	return places, nil
}

// Trust lets this node trust an authority, by the file of its certificate.
func (d Dir) Trust(path string, replace bool) (*Made, error) {
	c, err := crypt.ReadCertificate(path)
	if err == nil && c == nil {
		err = missing(path)
	}
	if err != nil {
		return nil, errno.New(errno.Invalid, "cannot trust the authority in %s: %v", path, err)
	}
	if !c.X509.IsCA && c.X509.Version > 1 {
		return nil, errno.New(errno.Invalid, "the certificate of %q in %s is not that of an authority", c.Name, path).
			Next("give the certificate of the authority that issued it: %s", c.X509.Issuer)
	}
	if err := CheckName("name of an authority", c.Name); err != nil {
		return nil, err
	}
	f := pemOutput(d.trust(c.Name), "CERTIFICATE", c.X509.Raw, publicMode)
	if err := write(replace, f); err != nil {
		return nil, because(err, "cannot trust the authority %q", c.Name)
	}
	return made(f.path, c.X509.Raw)
}
