package daemon

import (
	"errors"
	"path/filepath"
	"testing"

	"ouroboros/internal/errno"
)

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

func TestTheStateHasItsPlace(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "/var/lib/x")
	if got := statePath("/run/ouroboros", false); got != "/var/lib/x/state.json" {
		t.Error(got)
	}
	if got := statePath("/tmp/mine", true); got != "/tmp/mine/state.json" {
		t.Error(got)
	}
}
