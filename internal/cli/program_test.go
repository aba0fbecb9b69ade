package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ouroboros/internal/errno"
)

// files makes an executable "tool", a plain file "plain" and a directory
// "sub" with another "tool".
func files(t *testing.T) string {
	dir := t.TempDir()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"tool": 0o755, "plain": 0o644, "sub/tool": 0o755} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAProgramIsFoundHereOrInPATH(t *testing.T) {
	dir := files(t)
	other := t.TempDir()
	for _, tt := range []struct {
		in, path, word string
		want           string
		err            error
	}{
		{dir, "", "tool", dir + "/tool", nil},
		{dir, "", "./tool", dir + "/tool", nil},
		{dir, "", "sub/tool", dir + "/sub/tool", nil},
		{dir, "", "sub/../tool", dir + "/tool", nil},
		{other, dir, "tool", dir + "/tool", nil},
		{other, "relative:" + dir + "/sub:" + dir, "tool", dir + "/sub/tool", nil},
		{dir, dir + "/sub", "tool", dir + "/tool", nil}, // a file here goes first
		{other, "", dir + "/tool", dir + "/tool", nil},
		{dir, "sub", "nothing", "", errno.NoEntry},
		{other, dir, "sub", "", errno.NoEntry}, // a directory is no program
		{dir, "", "sub", "", errno.NoEntry},
		{dir, "", "./sub", "", errno.Perm},
		{dir, "", "plain", "", errno.Perm},
		{other, dir, "plain", "", errno.Perm},
		{other, dir, "./tool", "", errno.NoEntry},
		{other, "sub", "tool", "", errno.NoEntry},
		{dir, "", "/dev/null", "", errno.Perm},
	} {
		t.Chdir(tt.in)
		t.Setenv("PATH", tt.path)
		got, err := findProgram(tt.word)
		if tt.err == nil && (err != nil || got != tt.want) || tt.err != nil && !errors.Is(err, tt.err) {
			t.Errorf("%s in %s with PATH=%s: %q, %v; want %q, %v", tt.word, tt.in, tt.path, got, err, tt.want, tt.err)
		}
	}
	if os.Getenv("PATH") != "" {
		t.Error("PATH was changed")
	}
}

func TestSecurityFilesMustBeThere(t *testing.T) {
	dir := files(t)
	t.Chdir(dir)
	if err := os.Symlink("plain", "link"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"plain", "./sub/../plain", "link", dir + "/link"} {
		if got, err := securityFile("skeypath", path); err != nil || got != dir+"/plain" {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for path, want := range map[string]string{"nothing": "no such file", "sub": "directory", "plain/x": "not a directory"} {
		if _, err := securityFile("skeypath", path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "skeypath") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
