package rundir

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ouroboros/internal/errno"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("RUNDIR_TEST_CLAIM"); dir != "" {
		d, err := Claim(dir)
		if err != nil {
			os.Stdout.WriteString(err.Error())
			os.Exit(0)
		}
		// Dies without Close, and leaves its sockets.
		if _, err := net.Listen("unix", filepath.Join(d.Path, APISocket)); err != nil {
			panic(err)
		}
		os.Stdout.WriteString("claimed")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestWhereADaemonLives(t *testing.T) {
	for _, test := range []struct {
		name       string
		uid        int
		env        map[string]string
		daemon     string
		candidates []string
	}{
		{"root", 0, nil, "/run/ouroboros", []string{"/run/ouroboros"}},
		{"root does not use a user's directory", 0, map[string]string{"XDG_RUNTIME_DIR": "/run/user/0"}, "/run/ouroboros", []string{"/run/ouroboros"}},
		{"a user with a session", 7, map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/user/7/ouroboros", []string{"/run/user/7/ouroboros", "/run/ouroboros"}},
		{"a user without", 7, nil, "/t/ouroboros-7", []string{"/t/ouroboros-7", "/run/ouroboros"}},
		{"a relative directory does not count", 7, map[string]string{"XDG_RUNTIME_DIR": "run"}, "/t/ouroboros-7", []string{"/t/ouroboros-7", "/run/ouroboros"}},
		{"the variable overrides", 7, map[string]string{Env: "/x/", "XDG_RUNTIME_DIR": "/run/user/7"}, "/x", []string{"/x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := place{uid: test.uid, getenv: func(k string) string { return test.env[k] }, tmp: "/t"}
			if got := p.daemon(); got != test.daemon {
				t.Errorf("daemon in %s, not %s", got, test.daemon)
			}
			if got := p.candidates(); strings.Join(got, " ") != strings.Join(test.candidates, " ") {
				t.Errorf("candidates %v, not %v", got, test.candidates)
			}
		})
	}
}

func TestASecondDaemonIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "run")
	d, err := Claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Claim(dir)
	if !errors.Is(err, errno.Exist) || !strings.Contains(err.Error(), "already runs here as pid") || !strings.Contains(err.Error(), Env) {
		t.Errorf("got %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = Claim(dir); err != nil {
		t.Fatal(err)
	}
	d.Close()
}

func TestTheSocketsOfADeadDaemonAreTakenOver(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "RUNDIR_TEST_CLAIM="+dir)
	if out, err := cmd.Output(); err != nil || string(out) != "claimed" {
		t.Fatalf("%s, %v", out, err)
	}
	if _, err := Dial(t.Context(), dir, "unix", APISocket); !errors.Is(err, errno.IRMd) || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("dial: %v", err)
	}
	d, err := Claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	path, err := d.Socket(APISocket)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Dial(t.Context(), dir, "unix", APISocket)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestAnUnsafeDirectoryIsRefused(t *testing.T) {
	open := t.TempDir()
	os.Chmod(open, 0o777)
	link := filepath.Join(t.TempDir(), "link")
	os.Symlink(t.TempDir(), link)
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	dirs := map[string]string{"writable by all": open, "a symbolic link": link, "a file": file}
	if os.Geteuid() == 0 {
		foreign := t.TempDir()
		os.Chown(foreign, 65534, 65534)
		dirs["of another user"] = foreign
	}
	for what, dir := range dirs {
		if d, err := Claim(dir); err == nil {
			t.Errorf("%s: claimed", what)
			d.Close()
		}
	}
	if _, err := Claim("/" + strings.Repeat("x", 120)); !errors.Is(err, errno.Invalid) {
		t.Errorf("too long: %v", err)
	}
}

// A directory in /tmp could be anybody's: a client does not talk to a daemon
// of somebody who only pretends to be the user.
func TestAForeignFallbackIsNotUsed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a directory of another user")
	}
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, APISocket))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	os.Chown(dir, 65534, 65534)
	if c, err := dial(t.Context(), []string{dir}, "unix", APISocket, dir); err == nil {
		c.Close()
		t.Error("used")
	} else if !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Error(err)
	}
}

func TestTheErrorNamesEveryPlaceAndTheNextStep(t *testing.T) {
	_, err := dial(t.Context(), []string{"/none/a", "/none/b"}, "unixpacket", FlowSocket, "/none/a")
	if !errors.Is(err, errno.IRMd) {
		t.Fatal(err)
	}
	for _, word := range []string{"/none/a/flow.sock", "/none/b/flow.sock", "start one with: irmd"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q lacks %q", err, word)
		}
	}
}
