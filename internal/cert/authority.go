package cert

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"ouroboros/internal/crypt"
	"ouroboros/internal/errno"
)

// Defaults of what is made. A P-256 key is the one with which every node can
// do everything: a node of the C implementation cannot use an Ed25519 or Ed448
// key and encrypt, and has ML-DSA and SLH-DSA only with a recent library.
// Ed25519 is as strong and as fast; who has no such nodes may prefer it.
const (
	DefaultAlgorithm = "P-256"
	DefaultDays      = 365
	AuthorityDays    = 3650
	MaxDays          = 36500
)

// early is how long before it is made a certificate is valid: clocks of nodes
// differ.
const early = time.Hour

// Options are of everything that is made.
type Options struct {
	Algorithm string // of the key, one of crypt.SignerNames; "" = DefaultAlgorithm
	Days      int    // that it is valid; 0 = the default
	Replace   bool   // what is there
}

// Made is what came out of it.
type Made struct {
	Info  *Info
	Files []string // written, the certificate first
	Notes []string // for people
}

func (o Options) generate() (*crypt.Signer, error) {
	name := o.Algorithm
	if name == "" {
		name = DefaultAlgorithm
	}
	if !slices.Contains(crypt.SignerNames(), name) {
		return nil, errno.New(errno.NotSup, "there is no kind of key %q", name).Next("use one of %s", list(crypt.SignerNames()))
	}
	return crypt.GenerateSigner(name)
}

// span gives the time of validity.
func (o Options) span(days int) (begin, end time.Time, err error) {
	if o.Days != 0 {
		days = o.Days
	}
	if days < 1 || days > MaxDays {
		return begin, end, errno.New(errno.Invalid, "a certificate cannot be valid for %d days", days).Next("give 1 to %d", MaxDays)
	}
	now := time.Now().UTC().Truncate(time.Second)
	return now.Add(-early), now.AddDate(0, 0, days), nil
}

// outputs gives the files of a certificate and its key: the key comes first,
// so that no certificate is there without.
func (p pair) outputs(der []byte, key *crypt.Signer) ([]output, error) {
	private, err := key.PKCS8()
	if err != nil {
		return nil, err
	}
	defer clear(private)
	return []output{
		pemOutput(p.key, "PRIVATE KEY", private, secretMode),
		pemOutput(p.cert, "CERTIFICATE", der, publicMode),
	}, nil
}

// MakeAuthority makes an authority: its key, and its certificate, which this
// node trusts from then on.
func (d Dir) MakeAuthority(name string, o Options) (*Made, error) {
	if err := CheckName("name of an authority", name); err != nil {
		return nil, err
	}
	at := d.authority(name)
	if err := mayWrite(o.Replace, at.cert, at.key, d.trust(name)); err != nil {
		return nil, because(err, "cannot make the authority %q", name)
	}
	t := template{subject: name, ca: true}
	var err error
	if t.begin, t.end, err = o.span(AuthorityDays); err != nil {
		return nil, err
	}
	key, err := o.generate()
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	der, err := t.sign(issuer{key: key}, key)
	if err != nil {
		return nil, err
	}
	files, err := at.outputs(der, key)
	if err != nil {
		return nil, err
	}
	defer clear(files[0].data)
	files = append(files, pemOutput(d.trust(name), "CERTIFICATE", der, publicMode))
	if err := write(o.Replace, files...); err != nil {
		return nil, because(err, "cannot make the authority %q", name)
	}
	return made(at.cert, der, at.key, d.trust(name))
}

// made describes what was written.
func made(path string, der []byte, more ...string) (*Made, error) {
	c, err := crypt.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Made{Info: describe(path, c), Files: append([]string{path}, more...)}, nil
}

// open gives an authority of this directory; an empty name means the only one.
func (d Dir) open(name string) (string, issuer, *crypt.Certificate, error) {
	fail := func(err error) (string, issuer, *crypt.Certificate, error) { return "", issuer{}, nil, err }
	names, err := d.authorities()
	if err != nil {
		return fail(err)
	}
	switch {
	case name != "" && !slices.Contains(names, name), name == "" && len(names) == 0:
		what := "there is no authority"
		if name != "" {
			what += " " + quote(name)
		}
		e := errno.New(errno.NoEntry, "%s in %s", what, d.join(authorities))
		if len(names) > 0 {
			return fail(e.Next("there are %s", list(names)))
		}
		return fail(e.Next("make one with: irm cert ca NAME"))
	case name == "" && len(names) > 1:
		return fail(errno.New(errno.Invalid, "there are several authorities: %s", list(names)).Next("choose one with the keyword ca"))
	case name == "":
		name = names[0]
	}
	at := d.authority(name)
	c, err := crypt.ReadCertificate(at.cert)
	if err == nil && c == nil {
		err = missing(at.cert)
	}
	if err != nil {
		return fail(errno.New(errno.Invalid, "cannot use the authority %q: %v", name, err))
	}
	key, err := crypt.ReadSigner(at.key)
	if err == nil && key == nil {
		err = missing(at.key)
	}
	if err == nil && !key.Matches(c) {
		err = errno.New(errno.Invalid, "the key %s is not that of its certificate", at.key)
	}
	if err != nil {
		return fail(errno.New(errno.Invalid, "cannot use the authority %q: %v", name, err))
	}
	return name, issuer{c.X509.RawSubject, c.X509.SubjectKeyId, key}, c, nil
}

// authorities names those whose keys are here.
func (d Dir) authorities() ([]string, error) {
	entries, err := os.ReadDir(d.join(authorities))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, errno.New(errno.Of(errno.Number(err)), "cannot look for authorities in %s: %v", d.join(authorities), reason(err))
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func missing(path string) error { return errno.New(errno.NoEntry, "the file %s is missing", path) }
