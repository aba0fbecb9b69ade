package cli

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"ouroboros/internal/cert"
	"ouroboros/internal/errno"
	"ouroboros/internal/grammar"
	"ouroboros/internal/table"
)

// Certificates are files: none of these asks a daemon.

func (c *call) securityDir() (cert.Dir, error) {
	if !c.Has("dir") {
		return cert.Dir(cert.DefaultDir()), nil
	}
	return absoluteDir(c.Value("dir"))
}

func absoluteDir(path string) (cert.Dir, error) {
	dir, err := filepath.Abs(path)
	if err != nil {
		return "", errno.New(errno.Invalid, "cannot use the directory %q: %v", path, err)
	}
	return cert.Dir(dir), nil
}

// into gives the directory of another host; "" when there is none.
func (c *call) into() (cert.Dir, error) {
	if !c.Has("into") {
		return "", nil
	}
	return absoluteDir(c.Value("into"))
}

func (c *call) certOptions() cert.Options {
	return cert.Options{Algorithm: c.Value("algorithm"), Days: int(grammar.Number(c.Value("days"))), Replace: c.Has("replace")}
}

// madeView is what --json prints of what was made.
type madeView struct {
	Certificate *cert.Info `json:"certificate"`
	Files       []string   `json:"files"`
	Notes       []string   `json:"notes"`
}

type encryptView struct {
	File string `json:"file"`
}

type kemView struct {
	Files []string `json:"files"`
}

func (c *call) made(m *cert.Made, err error) error {
	if err != nil {
		return err
	}
	for _, note := range m.Notes {
		c.warn("%s", note)
	}
	if c.Options.JSON {
		return c.json(madeView{m.Info, m.Files, append([]string{}, m.Notes...)})
	}
	i := m.Info
	if err := c.printf("certificate of %s, issued by %s, %s, valid until %s\n",
		printable(i.Name), printable(i.Issuer), i.Algorithm, i.End.Format(time.DateOnly)); err != nil {
		return err
	}
	return c.files(m.Files)
}

func (c *call) files(paths []string) error {
	for _, f := range paths {
		if err := c.printf("  %s\n", printable(f)); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) certAuthority(context.Context) error {
	dir, err := c.securityDir()
	if err != nil {
		return err
	}
	return c.made(dir.MakeAuthority(c.Value("ca"), c.certOptions()))
}

func (c *call) certIssue(context.Context) error {
	dir, err := c.securityDir()
	if err != nil {
		return err
	}
	into, err := c.into()
	if err != nil {
		return err
	}
	if c.Has("server") && c.Has("to") {
		return invalid("%q and %q contradict each other: a certificate is for a server or for a client", "server", "to").
			Next("issue two")
	}
	return c.made(dir.Issue(cert.Request{
		Name: c.Value("name"), Authority: c.Value("ca"), To: c.Values("to"), Into: into, Options: c.certOptions(),
	}))
}

func (c *call) certTrust(context.Context) error {
	dir, err := c.securityDir()
	if err != nil {
		return err
	}
	return c.made(dir.Trust(c.Value("file"), c.Has("replace")))
}

func (c *call) certEncrypt(context.Context) error {
	dir, err := c.securityDir()
	if err != nil {
		return err
	}
	side := cert.Server
	switch {
	case c.Has("client") && c.Has("server"):
		return invalid("%q and %q contradict each other", "server", "client").Next("give one of them, and the other one with a command of its own")
	case c.Has("client"):
		side = cert.Client
	case c.Has("encapsulate"):
		return invalid("%q means nothing for a server: its clients choose", "encapsulate").Next("add the word client")
	}
	path, err := dir.Encrypt(side, c.Value("name"), cert.Encryption{
		Exchange: c.Value("kex"), Cipher: c.Value("cipher"), KDF: c.Value("kdf"), Encapsulate: c.Has("encapsulate"),
	}, c.Has("replace"))
	if err != nil {
		return err
	}
	if c.Options.JSON {
		return c.json(encryptView{path})
	}
	return c.files([]string{path})
}

func (c *call) certKEM(context.Context) error {
	dir, err := c.securityDir()
	if err != nil {
		return err
	}
	into, err := c.into()
	if err != nil {
		return err
	}
	paths, err := dir.MakeKEM(c.Value("name"), c.Value("kex"), into, c.Has("replace"))
	if err != nil {
		return err
	}
	if c.Options.JSON {
		return c.json(kemView{paths})
	}
	return c.files(paths)
}

func (c *call) certShow(context.Context) error {
	dir, err := c.securityDir()
	if err != nil {
		return err
	}
	return c.infos(dir.Find(c.Value("what")))
}

// infos writes a paragraph a certificate.
func (c *call) infos(infos []*cert.Info, err error) error {
	if err != nil || c.Options.JSON {
		if err == nil {
			err = c.json(infos)
		}
		return err
	}
	for n, i := range infos {
		if n > 0 {
			if err := c.printf("\n"); err != nil {
				return err
			}
		}
		if err := c.printf("%s\n", printable(i.Path)); err != nil {
			return err
		}
		authority := ""
		if i.Authority {
			authority = "yes"
		}
		for _, row := range [][2]string{
			{"name", i.Name}, {"kind", string(i.Kind)}, {"for", i.For}, {"issuer", i.Issuer}, {"authority", authority},
			{"algorithm", i.Algorithm}, {"begins", instant(i.Begin)}, {"ends", instant(i.End)},
			{"serial", i.Serial}, {"fingerprint", i.Fingerprint}, {"state", string(i.State)}, {"problem", i.Problem},
		} {
			if row[1] == "" {
				continue
			}
			if err := c.printf("  %-11s  %s\n", row[0], printable(row[1])); err != nil {
				return err
			}
		}
	}
	return nil
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 MST")
}

// errFound ends a check that has found mistakes, which have been said.
var errFound = errors.New("the check has found mistakes")

func (c *call) certCheck(context.Context) error {
	dir, err := c.securityDir()
	if err != nil {
		return err
	}
	found, err := dir.Check(c.Value("what"))
	if err != nil {
		return err
	}
	if c.Options.JSON {
		if err := c.json(append([]cert.Finding{}, found...)); err != nil {
			return err
		}
	}
	bad := false
	for _, f := range found {
		mark := "ok     "
		if !f.OK {
			mark, bad = "wrong  ", true
		}
		if c.Options.JSON {
			continue
		}
		if err := c.printf("%s%s\n", mark, printable(f.String())); err != nil {
			return err
		}
	}
	if bad {
		return errFound
	}
	return nil
}

func (c *call) certRevoke(context.Context) error {
	dir, err := c.securityDir()
	if err != nil {
		return err
	}
	infos, err := dir.Revoke(c.Value("what"))
	if err != nil {
		return err
	}
	if c.Options.JSON {
		return c.json(infos)
	}
	for _, i := range infos {
		if err := c.printf("revoked: the certificate of %s, issued by %s, serial %s\n", printable(i.Name), printable(i.Issuer), i.Serial); err != nil {
			return err
		}
		if err := c.files([]string{i.Path}); err != nil {
			return err
		}
	}
	return nil
}

var certColumns = []table.Column{
	{Title: "kind", Width: 9}, {Title: "name", Width: 20}, {Title: "for", Width: 12}, {Title: "issuer", Width: 12},
	{Title: "algorithm", Width: 9}, {Title: "ends", Width: 10}, {Title: "state", Width: 8},
}

func (c *call) certList(context.Context) error {
	dir, err := c.securityDir()
	if err != nil {
		return err
	}
	infos, err := dir.List()
	if err != nil {
		return err
	}
	if c.Options.JSON {
		return c.json(infos)
	}
	if len(infos) == 0 {
		return c.printf("No certificates in %s.\n\n", printable(string(dir)))
	}
	var rows [][]string
	for _, i := range infos {
		ends := ""
		if !i.End.IsZero() {
			ends = i.End.Format(time.DateOnly)
		}
		rows = append(rows, []string{
			string(i.Kind), scalar(i.Name), scalar(i.For), scalar(i.Issuer), scalar(i.Algorithm), scalar(ends), string(i.State),
		})
	}
	return c.table(certColumns, rows)
}
