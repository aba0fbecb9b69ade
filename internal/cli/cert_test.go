package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"ouroboros/internal/cert"
)

// certs carries out a command line of irm cert in a directory. There is no
// daemon to reach.
func certs(t *testing.T, dir string, words ...string) (code int, out, bad string) {
	t.Helper()
	var o, b bytes.Buffer
	words = append(append([]string{"cert"}, words...), "dir", dir)
	code = Run(context.Background(), words, Env{Stdout: &o, Stderr: &b, Dial: func(context.Context, string) (Service, error) {
		t.Error("a daemon is asked")
		return nil, context.Canceled
	}})
	return code, o.String(), b.String()
}

func TestCertificatesAreMadeShownAndChecked(t *testing.T) {
	dir, there := t.TempDir(), filepath.Join(t.TempDir(), "there")
	for _, step := range []struct {
		line string
		code int
		out  string // in standard output
		bad  string // in standard error
	}{
		{"list", 0, "No certificates in " + dir, ""},
		{"issue web", 1, "", "irm cert ca NAME"},
		{"ca home algorithm Ed25519", 0, "certificate of home, issued by home, Ed25519, valid until ", ""},
		{"ca home", 1, "", "add the word replace"},
		{"issue web", 0, dir + "/server/web/key.pem", ""},
		{"issue a,b", 0, "certificate of a,b", "the C implementation cuts the name"},
		{"issue alice to web to mail into " + there, 0, there + "/client/mail/crt.pem", ""},
		{"issue alice to web server", 1, "", "contradict each other"},
		{"encrypt web", 0, dir + "/server/web/enc.conf", ""},
		{"encrypt web client encapsulate", 0, dir + "/client/web/enc.conf", ""},
		{"encrypt web encapsulate", 1, "", "add the word client"},
		{"encrypt web client server", 1, "", "contradict each other"},
		{"check web", 1, "wrong  " + dir + "/client/web/kex.srv.pub: the client encapsulates", "the check has found mistakes"},
		{"kem web", 0, dir + "/client/web/kex.srv.pub.raw", ""},
		{"check web", 0, "ok     " + dir + `/server/web/crt.pem: certificate of "web", issued by "home", P-256`, ""},
		{"check", 0, "ok     " + dir + "/ca/home/crt.pem", ""},
		{"show web", 0, "  issuer       home\n", ""},
		{"show " + there + "/client/web/crt.pem", 0, "  kind         file\n", ""},
		{"revoke " + there + "/client/web/crt.pem", 0, "revoked: the certificate of alice, issued by home", ""},
		{"check " + there + "/client/web/crt.pem", 1, "is revoked", ""},
		{"trust " + there + "/cacert/home.pem", 1, "", "is there already"},
		{"trust " + there + "/cacert/home.pem replace", 0, dir + "/cacert/home.pem", ""},
		{"show nothing", 1, "", "irm cert list"},
		{"list", 0, "|  server |  web |  web |   home |     P-256 |", ""},
	} {
		code, out, bad := certs(t, dir, strings.Fields(step.line)...)
		tight := strings.ReplaceAll(out, "  ", " ") // a table is as wide as it happens to be
		if code != step.code || !strings.Contains(out, step.out) && !tabled(tight, step.out) || !strings.Contains(bad, step.bad) {
			t.Errorf("irm cert %s gives %d, want %d\n%s%s", step.line, code, step.code, out, bad)
		}
	}
}

// tabled looks for a row without its blanks.
func tabled(out, row string) bool {
	none := func(s string) string { return strings.ReplaceAll(s, " ", "") }
	return row != "" && strings.Contains(none(out), none(row))
}

func TestCertificatesAsJSON(t *testing.T) {
	dir := t.TempDir()
	read := func(v any, words ...string) {
		t.Helper()
		code, out, bad := certs(t, dir, append(words, "--json")...)
		d := json.NewDecoder(strings.NewReader(out))
		d.DisallowUnknownFields()
		if err := d.Decode(v); code != 0 || err != nil {
			t.Fatalf("irm cert %v gives %d, %v\n%s%s", words, code, err, out, bad)
		}
	}
	var m madeView
	read(&m, "ca", "home")
	if m.Certificate.Name != "home" || !m.Certificate.Authority || len(m.Files) != 3 || m.Notes == nil {
		t.Errorf("%+v", m)
	}
	read(&m, "issue", "web")
	if m.Certificate.Issuer != "home" || m.Certificate.Fingerprint == "" || m.Certificate.End.IsZero() {
		t.Errorf("%+v", m)
	}
	var infos []cert.Info
	read(&infos, "list")
	if len(infos) != 3 || infos[2].Kind != cert.KindServer || infos[2].For != "web" || infos[2].State != cert.Valid {
		t.Errorf("%+v", infos)
	}
	read(&infos, "show", "web")
	if len(infos) != 1 {
		t.Errorf("%+v", infos)
	}
	var found []cert.Finding
	read(&found, "check", "web")
	if len(found) != 2 || !found[0].OK {
		t.Errorf("%+v", found)
	}
	var file encryptView
	read(&file, "encrypt", "web")
	var files kemView
	read(&files, "kem", "web", "kex", "ML-KEM-768")
	if file.File == "" || len(files.Files) != 2 {
		t.Errorf("%+v %+v", file, files)
	}
	read(&infos, "revoke", dir+"/server/web/crt.pem")
	if len(infos) != 1 || infos[0].Name != "web" {
		t.Errorf("%+v", infos)
	}
}
