package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ouroboros/internal/errno"
	"ouroboros/internal/registry"
	"ouroboros/irm"
)

func TestTheStateComesBackAsItWasSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "state.json")
	s, err := openState(path)
	if err != nil {
		t.Fatal(err)
	}
	if snap, err := s.Load(); snap != nil || err != nil {
		t.Fatalf("a new state is %v, %v", snap, err)
	}
	want := &registry.Snapshot{
		Names:    []registry.SavedName{{Name: "a", Balance: irm.Spill, Server: irm.SecPaths{Enc: "/x"}}},
		Programs: []registry.SavedProgram{{Program: "/bin/x", Name: "a", Args: []string{"-v"}, Auto: true, UID: 1, GID: 2}},
		IPCPs:    []registry.SavedIPCP{{PID: 5000000, Name: "n1", Type: irm.Unicast, Config: irm.NewConfig(irm.Unicast, "net"), Names: []string{"a"}}},
	}
	for range 2 {
		if err := s.Save(want); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if s, err = openState(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Load()
	if err != nil || !cmp.Equal(got, want, cmp.Comparer(func(a, b irm.Config) bool { return a.Layer == b.Layer && *a.Unicast == *b.Unicast })) {
		t.Errorf("%v: %s", err, cmp.Diff(want, got))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTwoDaemonsCannotKeepOneState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	s, err := openState(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openState(path); !errors.Is(err, errno.Exist) {
		t.Errorf("the second gets %v", err)
	}
	s.Close()
	if s, err = openState(path); err != nil {
		t.Error(err)
	} else {
		s.Close()
	}
}

func TestABrokenStateSaysSo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	s, err := openState(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, text := range []string{"", "{", "[]", `{"version": 2}`, `{"version": "1"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

func TestTheStateHasItsPlace(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "/var/lib/x")
	if got := statePath("/run/ouroboros", "/run/ouroboros"); got != "/var/lib/x/state.json" {
		t.Error(got)
	}
	if got := statePath("/tmp/mine", "/run/ouroboros"); got != "/tmp/mine/state.json" {
		t.Error(got)
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"version":1,"state":{"names":[{"name":"a"}],"programs":null,"ipcps":[{"pid":1,"config":{}}]}}`))
	s := &stateFile{path: "state"}
	f.Fuzz(func(t *testing.T, data []byte) {
		snap, err := s.decode(data)
		if err != nil && snap != nil {
			t.Fatal("an error and a state")
		}
	})
}
