package python

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/netns"
	"ouroboros/test/host"
)

func TestMain(m *testing.M) {
	code := host.Main(m)
	os.RemoveAll(environment.dir)
	os.Exit(code)
}

// environment is a virtual environment that the tests share.
var environment struct {
	sync.Once
	dir string
}

// pythonVariable names the Python to test with, instead of the system's.
const pythonVariable = "OUROBOROS_TEST_PYTHON"

// limit is how long the tests of a module may take.
const limit = 10 * time.Minute

func source() string { return filepath.Join(host.Root(), "python") }

// interpreter finds a Python that can make virtual environments.
func interpreter(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed: Go needs it for a library")
	}
	for _, p := range []string{os.Getenv(pythonVariable), "/usr/bin/python3", "python3"} {
		if p == "" {
			continue
		}
		if exec.Command(p, "-c", "import sys, venv, ensurepip; assert sys.version_info >= (3, 8)").Run() == nil {
			return p
		}
	}
	t.Skip("no Python from 3.8 on that makes virtual environments; on Debian install python3-venv")
	return ""
}

// installed gives a Python in a virtual environment in which the package is
// installed.
func installed(t *testing.T) (python string) {
	t.Helper()
	from := interpreter(t)
	environment.Do(func() {
		dir, err := os.MkdirTemp("", "ouroboros-python-")
		if err != nil {
			t.Fatal(err)
		}
		environment.dir = dir
		python := filepath.Join(dir, "bin", "python")
		for _, c := range [][]string{
			{from, "-m", "venv", dir},
			{python, "-m", "pip", "install", "."},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			cmd := exec.CommandContext(ctx, c[0], c[1:]...)
			cmd.Dir = source()
			cmd.Env = append(plain(), "PIP_NO_INDEX=1", "PIP_DISABLE_PIP_VERSION_CHECK=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", strings.Join(c, " "), err, out)
			}
		}
	})
	return filepath.Join(environment.dir, "bin", "python")
}

// plain is an environment that leads to no other installation.
func plain() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PYTHON") && !strings.HasPrefix(kv, "OUROBOROS_") {
			env = append(env, kv)
		}
	}
	return env
}

// suite is what the modules of tests are run with.
type suite struct {
	python string
	dir    string // holds the tests, and not the sources of the package
}

// run runs a module beside a daemon, or without one.
func (s *suite) run(t *testing.T, d *host.Daemon, module string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	args := []string{"-X", "dev", "-m", "unittest", "-v", "tests." + module}
	cmd := exec.CommandContext(ctx, s.python, args...)
	if d != nil && d.Space != nil {
		cmd = d.Space.Command(ctx, s.python, args...)
	}
	cmd.WaitDelay = time.Second // its children may hold the pipe
	cmd.Dir = s.dir
	cmd.Env = plain()
	if d != nil {
		cmd.Env = append(cmd.Env, "OUROBOROS_RUNTIME_DIR="+d.Dir, "PATH="+host.Bin(t)+":"+os.Getenv("PATH"))
	}
	cmd.Env = append(cmd.Env, "OUROBOROS_PYTHON="+source(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", module, err, out)
	}
	for _, m := range skipped.FindAllStringSubmatch(string(out), -1) {
		t.Logf("skipped: %s: %s", m[1], m[2])
	}
	if ran := count.FindStringSubmatch(string(out)); ran == nil || ran[1] == "0" {
		t.Errorf("%s has run nothing:\n%s", module, out)
	}
}

var (
	skipped = regexp.MustCompile(`(?m)^(\w+) .*\.\.\. skipped '?"?(.*?)'?"?$`)
	count   = regexp.MustCompile(`(?m)^Ran (\d+) tests?`)
)

func TestThePackageAsAUserHasIt(t *testing.T) {
	s := &suite{python: installed(t), dir: t.TempDir()}
	if err := os.Symlink(filepath.Join(source(), "tests"), filepath.Join(s.dir, "tests")); err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Glob(filepath.Join(source(), "tests", "test_*.py"))
	if err != nil || len(modules) == 0 {
		t.Fatal("no tests", err)
	}
	for _, path := range modules {
		module := strings.TrimSuffix(filepath.Base(path), ".py")
		t.Run(module, func(t *testing.T) {
			switch module {
			case "test_abi":
				s.run(t, nil, module)
			case "test_install":
				if testing.Short() {
					t.Skip("builds the library again and again")
				}
				s.run(t, nil, module)
			case "test_examples":
				examples := os.Getenv("OUROBOROS_PYTHON_EXAMPLES")
				s.run(t, host.Start(t), module, "OUROBOROS_PYTHON_EXAMPLES="+examples)
			default:
				s.run(t, host.Start(t), module)
			}
		})
	}
	t.Run("layers over a network", func(t *testing.T) {
		a, _ := netns.Pair(t)
		for _, addr := range []string{"192.168.1.1/24", "fd00::1/64"} {
			if err := a.AddAddr(netns.Dev, netip.MustParsePrefix(addr)); err != nil {
				t.Fatal(err)
			}
		}
		s.run(t, host.StartAt(t, a), "test_readme", "OUROBOROS_TEST_DEVICE="+netns.Dev)
	})
}
