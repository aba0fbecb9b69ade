package ctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ouroboros/test/host"
)

// sourceVariable names the directory of the source of the C implementation.
const sourceVariable = "OUROBOROS_REFERENCE_SOURCE"

// tools are programs that were written for the C implementation: at gives the
// path of one.
type tools struct {
	d   *host.Daemon
	env []string
	at  func(name string) string
}

func (s *tools) start(t *testing.T, name string, args ...string) *host.Process {
	t.Helper()
	program, env := s.at(name), s.env
	if stdbuf, err := exec.LookPath("stdbuf"); err == nil {
		// A C program keeps its lines back from a pipe unless told otherwise.
		program, args = stdbuf, append([]string{"-oL", program}, args...)
	}
	return s.d.Go(t, env, program, args...)
}

func (s *tools) ok(t *testing.T, name string, args ...string) string {
	t.Helper()
	p := s.start(t, name, args...)
	if code := p.Wait(t); code != 0 {
		t.Fatalf("%s %s: exit %d\n%s", name, strings.Join(args, " "), code, p.Out)
	}
	return p.Out.String()
}

// try uses every tool: a layer and names by irm, and a server and a client of
// each.
func (s *tools) try(t *testing.T) {
	s.ok(t, "irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "home")
	if out := s.ok(t, "irm", "ipcp", "list"); !strings.Contains(out, "home") {
		t.Errorf("the list says:\n%s", out)
	}
	for _, w := range []struct {
		name    string
		ready   string // what the server says
		args    []string
		expects string
		signal  os.Signal
		code    int // of the server
	}{
		{"oping", "started", []string{"-n", "oping", "-c", "5", "-i", "20"}, "5 packets transmitted, 5 received", os.Interrupt, 0},
		{"oecho", "", nil, "Client says hi", nil, -1},
		{"ocbr", "started", []string{"-n", "ocbr", "-d", "1", "-s", "1000", "-f"}, "sent statistics", os.Interrupt, 0},
		{"operf", "started", []string{"-n", "operf", "-d", "1", "-s", "1000", "-f"}, "Test finished", os.Interrupt, 0},
	} {
		t.Run(w.name, func(t *testing.T) {
			s.ok(t, "irm", "name", "create", w.name)
			s.ok(t, "irm", "name", "register", w.name, "ipcp", "l1")
			server := s.start(t, w.name, "--listen")
			server.Out.Await(t, w.ready)
			s.d.Bind(t, server, w.name)
			if out := s.ok(t, w.name, w.args...); !strings.Contains(out, w.expects) {
				t.Errorf("the client says:\n%s", out)
			}
			if w.signal == nil {
				return
			}
			server.Cmd.Process.Signal(w.signal)
			if code := server.Wait(t); code != w.code {
				t.Errorf("the server exits with %d:\n%s", code, server.Out)
			}
		})
	}
	t.Run("obc", func(t *testing.T) {
		s.ok(t, "irm", "ipcp", "bootstrap", "type", "broadcast", "name", "b1", "layer", "all")
		listener := s.start(t, "obc", "-n", "all", "--listen")
		host.Eventually(t, "obc has joined", func() bool {
			flows, err := s.d.Irm.ListFlows(t.Context())
			return err == nil && len(flows) > 0
		})
		s.ok(t, "obc", "-n", "all", "-m", "to all")
		listener.Out.Await(t, "to all")
	})
	// What needs no network does not ask for a daemon.
	s.d.Kill()
	help := s.start(t, "oping", "--help")
	help.Wait(t)
	if out := help.Out.String(); !strings.Contains(out, "Usage: oping") {
		t.Errorf("--help says:\n%s", out)
	}
}

func TestToolsOfTheCImplementationCompileUnchanged(t *testing.T) {
	src := os.Getenv(sourceVariable)
	if src == "" {
		t.Skip("no " + sourceVariable + ": this test needs the directory of the source of the C implementation")
	}
	dir, bin := filepath.Join(src, "src", "tools"), t.TempDir()
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("%s=%s: %v", sourceVariable, src, err)
	}
	// oping includes a header that is not installed, and uses nothing of it.
	if err := os.MkdirAll(filepath.Join(bin, "ouroboros"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "ouroboros", "hash.h"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	libs := library(t)
	for _, name := range []string{"oping", "oecho", "ocbr", "operf", "obc", "irm"} {
		files := []string{filepath.Join(dir, name, name+".c")}
		if name == "irm" {
			files, _ = filepath.Glob(filepath.Join(dir, name, "*.c"))
		}
		args := append(files, "-w", "-I"+filepath.Join(host.Root(), "include"), "-I"+bin, "-I"+dir,
			"-o", filepath.Join(bin, name), "-L"+libs, "-louroboros-dev", "-louroboros-irm", "-lm", "-lpthread")
		if out, err := shell(t, "", "cc", args...); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	s := &tools{d: host.Start(t), env: env(t), at: func(name string) string { return filepath.Join(bin, name) }}
	s.try(t)
}

func TestBinariesOfTheCImplementationRunWithThisLibrary(t *testing.T) {
	if !host.HasReference() {
		t.Skip("no " + host.ReferenceVariable + ": this test needs the directory that the C implementation is installed in")
	}
	prefix := os.Getenv(host.ReferenceVariable)
	s := &tools{d: host.Start(t), env: env(t), at: func(name string) string {
		for _, dir := range []string{"bin", "sbin"} {
			if p := filepath.Join(prefix, dir, name); fileExists(p) {
				return p
			}
		}
		t.Fatalf("%s has no %s", prefix, name)
		return ""
	}}
	s.try(t)
}

func fileExists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}
