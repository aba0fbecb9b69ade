package cert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ouroboros/internal/errno"
	"ouroboros/internal/oap"
)

// problems gives what a check of a name finds wrong.
func problems(t *testing.T, d Dir, what string) string {
	t.Helper()
	found, err := d.Check(what)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range found {
		if !f.OK {
			all = append(all, f.String())
		}
	}
	return strings.Join(all, "\n")
}

func TestACheckFindsWhatIsWrong(t *testing.T) {
	put := func(t *testing.T, path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	move := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name string
		do   func(t *testing.T, d Dir)
		want []string // in the problems, in order; none = all is well
	}{
		{"nothing", func(*testing.T, Dir) {}, nil},
		{"encryption", func(t *testing.T, d Dir) { d.Encrypt(Server, "web", Encryption{}, false) }, nil},
		{"no key", func(t *testing.T, d Dir) { os.Remove(d.of(Server, "web").key) }, []string{"key.pem", "no private key", "irm cert issue"}},
		{"no certificate", func(t *testing.T, d Dir) { os.Remove(d.of(Server, "web").cert) }, []string{"crt.pem", "no certificate for it"}},
		{"a key for everybody", func(t *testing.T, d Dir) { os.Chmod(d.of(Server, "web").key, 0o644) }, []string{"key.pem", "read by everybody", "chmod 600"}},
		{"garbage", func(t *testing.T, d Dir) { put(t, d.of(Server, "web").cert, "garbage", 0o644) }, []string{"crt.pem", "no certificate in it"}},
		{"another key", func(t *testing.T, d Dir) {
			issue(t, d, Request{Name: "mail"})
			move(t, d.of(Server, "mail").key, d.of(Server, "web").key)
		}, []string{"key.pem", "not that of the certificate"}},
		{"another name", func(t *testing.T, d Dir) {
			issue(t, d, Request{Name: "mail"})
			move(t, d.of(Server, "mail").cert, d.of(Server, "web").cert)
			move(t, d.of(Server, "mail").key, d.of(Server, "web").key)
		}, []string{`is for "mail" and not for "web"`, "irm cert issue web"}},
		{"no authority", func(t *testing.T, d Dir) { os.Remove(d.trust("home")) }, []string{"trusts no authority"}},
		{"another authority", func(t *testing.T, d Dir) {
			o := newDir(t, Options{})
			move(t, o.trust("home"), d.trust("home"))
		}, []string{"not signed by"}},
		{"an unknown cipher", func(t *testing.T, d Dir) { put(t, d.join("server/web/enc.conf"), "cipher=rot13\n", 0o644) },
			[]string{"enc.conf", "line 1", "aes-256-gcm"}},
		{"a typing error", func(t *testing.T, d Dir) { put(t, d.join("server/web/enc.conf"), "cypher=aes-256-gcm\n", 0o644) },
			[]string{"enc.conf", "says nothing"}},
		{"a weak cipher", func(t *testing.T, d Dir) {
			if _, err := d.Encrypt(Server, "web", Encryption{Cipher: "aes-256-ctr"}, false); err != nil {
				t.Fatal(err)
			}
		}, []string{"can change it unnoticed"}},
		{"settings that others write", func(t *testing.T, d Dir) { put(t, d.join("server/web/enc.conf"), "kex=X25519\n", 0o666) },
			[]string{"changed by others", "chmod go-w"}},
		{"no key to encapsulate for", func(t *testing.T, d Dir) {
			if _, err := d.Encrypt(Client, "web", Encryption{Encapsulate: true}, false); err != nil {
				t.Fatal(err)
			}
		}, []string{"no key of the server", "irm cert kem"}},
		{"a key to encapsulate for", func(t *testing.T, d Dir) {
			d.Encrypt(Client, "web", Encryption{Encapsulate: true}, false)
			if _, err := d.MakeKEM("web", "", "", false); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"a broken authority", func(t *testing.T, d Dir) { put(t, d.join("cacert", "x.pem"), "x", 0o644) }, []string{"x.pem", "no certificate in it"}},
		{"a broken list of revoked ones", func(t *testing.T, d Dir) { put(t, d.join("revoked", "x.pem"), "x", 0o644) },
			[]string{"x.pem", "no revoked certificate in it"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDir(t, Options{})
			issue(t, d, Request{Name: "web"})
			tc.do(t, d)
			got := problems(t, d, "web")
			if tc.want == nil && got != "" {
				t.Errorf("it finds\n%s", got)
			}
			rest := got
			for _, w := range tc.want {
				at := strings.Index(rest, w)
				if at < 0 {
					t.Fatalf("it does not say %q:\n%s", w, got)
				}
				rest = rest[at:]
			}
		})
	}
}

func TestACheckOfEverythingFindsWhatIsWrongAnywhere(t *testing.T) {
	d := newDir(t, Options{})
	issue(t, d, Request{Name: "web"})
	issue(t, d, Request{Name: "alice", To: []string{"mail"}})
	found, err := d.Check("")
	if err != nil || len(found) != 6 || problems(t, d, "") != "" {
		t.Errorf("%+v, %v", found, err)
	}
	for _, path := range []string{d.of(Server, "web").key, d.of(Client, "mail").key, d.authority("home").key} {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := problems(t, d, ""); strings.Count(got, "read by everybody") != 3 {
		t.Errorf("it finds\n%s", got)
	}
	if found, err := Dir(t.TempDir()).Check(""); err != nil || len(found) != 0 {
		t.Errorf("in an empty directory: %+v, %v", found, err)
	}
}

func TestDemandsThatNobodyCanMeetAreFound(t *testing.T) {
	d := Dir(t.TempDir())
	s := oap.Security{Dir: oap.DefaultDir(string(d), oap.ClientSide, "web"), RequireAuth: true, RequireEncryption: true}
	if err := write(false, output{d.join("client/web/enc.conf"), []byte("none\n"), publicMode}); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(Examine(Client, "web", s, d.Store()), "\n")
	for _, want := range []string{"irm cert encrypt web client", "no authority is trusted"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
	if got := Examine(Server, "web", oap.Security{}, nil); len(got) != 0 {
		t.Errorf("a name without files has problems: %q", got)
	}
}

func TestWhatCannotBeMadeSaysWhy(t *testing.T) {
	d := newDir(t, Options{})
	if _, err := d.MakeAuthority("second", Options{}); err != nil {
		t.Fatal(err)
	}
	broken := newDir(t, Options{})
	if err := os.Chmod(broken.authority("home").key, 0o644); err != nil {
		t.Fatal(err)
	}
	issue(t, d, Request{Name: "web", Authority: "home"})
	for name, tc := range map[string]struct {
		do   func() error
		want string
	}{
		"a name with a slash":     {func() error { _, err := d.Issue(Request{Name: "a/b"}); return err }, "directory"},
		"a name that leads away":  {func() error { _, err := d.MakeAuthority("..", Options{}); return err }, "directory"},
		"a client of such a name": {func() error { _, err := d.Issue(Request{Name: "a", To: []string{"/x"}}); return err }, "directory"},
		"several authorities":     {func() error { _, err := d.Issue(Request{Name: "a"}); return err }, "home, second"},
		"an unknown authority":    {func() error { _, err := d.Issue(Request{Name: "a", Authority: "x"}); return err }, "there are home, second"},
		"an unknown kind":         {func() error { _, err := d.MakeAuthority("a", Options{Algorithm: "DSA"}); return err }, "P-256"},
		"too many days":           {func() error { _, err := d.MakeAuthority("a", Options{Days: 99999}); return err }, "1 to 36500"},
		"a key for everybody":     {func() error { _, err := broken.Issue(Request{Name: "a"}); return err }, "chmod 600"},
		"an unknown cipher": {func() error { _, err := d.Encrypt(Server, "a", Encryption{Cipher: "x"}, false); return err },
			"aes-256-gcm"},
		"who encapsulates nothing": {func() error {
			_, err := d.Encrypt(Client, "a", Encryption{Exchange: "X25519", Encapsulate: true}, false)
			return err
		},
			"ML-KEM"},
		"a key of an exchange without": {func() error { _, err := d.MakeKEM("a", "X25519", "", false); return err }, "ML-KEM-768"},
		"trust in a name":              {func() error { _, err := d.Trust(d.of(Server, "web").cert, false); return err }, "not that of an authority"},
		"trust in nothing":             {func() error { _, err := d.Trust(d.join("x"), false); return err }, "missing"},
		"something unknown":            {func() error { _, err := d.Find("nothing"); return err }, "irm cert list"},
		"a directory":                  {func() error { _, err := d.Find(d.join("server")); return err }, "is a directory"},
	} {
		err := tc.do()
		if err == nil || !strings.Contains(err.Error(), tc.want) || errno.Number(err) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADirectoryThatCannotBeWrittenSaysSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Dir(file).MakeAuthority("home", Options{})
	if err == nil || !strings.Contains(err.Error(), "home") {
		t.Error(err)
	}
}
