package test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ouroboros/test/host"
)

// example builds an example program.
func example(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", path, "./examples/"+name)
	cmd.Dir = host.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// bound waits until a process serves the name.
func bound(t *testing.T, d *host.Daemon, name string) {
	t.Helper()
	host.Eventually(t, "somebody serves "+name, func() bool {
		names, err := d.Irm.ListNames(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if n.Name == name && n.Accepting > 0 {
				return true
			}
		}
		return false
	})
}

func TestExamplesRunOverADaemon(t *testing.T) {
	for _, e := range []struct {
		name, served   string
		server, client []string
		want           string
	}{
		{"greeter", "greeter", []string{"-serve"}, nil, "hello, you"},
		{"http", "web", []string{"-serve", "web"}, []string{"http://web/hello"}, "hello"},
		{"grpc", "health", []string{"-serve", "health"}, []string{"health"}, "SERVING"},
	} {
		t.Run(e.name, func(t *testing.T) {
			d := host.Start(t)
			program := example(t, e.name)
			d.Go(t, nil, program, e.server...)
			bound(t, d, e.served)
			for range 2 {
				if out := d.OK(t, program, e.client...); !strings.Contains(out, e.want) {
					t.Errorf("%s: %q", e.name, out)
				}
			}
			// A client without a server is told what to do.
			r := d.Run(t, program, append([]string{"-no-such-flag"}, e.client...)...)
			if r.Code == 0 {
				t.Errorf("a wrong flag is no error: %s%s", r.Stdout, r.Stderr)
			}
		})
	}
}
