package cli

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
)

// findProgram gives the absolute path of a program: a word with a slash, or
// that names a file here, is a path; any other is looked for in PATH, of which
// relative parts are left out.
func findProgram(word string) (string, error) {
	if full, err := filepath.Abs(word); err == nil {
		if info, err := os.Stat(full); err == nil && (!info.IsDir() || strings.Contains(word, "/")) {
			return full, executable(full, info)
		}
	}
	if strings.Contains(word, "/") {
		return "", errno.New(errno.NoEntry, "cannot bind %q: there is no such file", word).Next("check the path")
	}
	var refused error
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		full := filepath.Join(dir, word)
		info, err := os.Stat(full)
		if err != nil || info.IsDir() {
			continue
		}
		if err := executable(full, info); err != nil {
			refused = err
			continue
		}
		return full, nil
	}
	if refused != nil {
		return "", refused
	}
	return "", errno.New(errno.NoEntry, "cannot bind %q: there is no such file here, nor in PATH", word).
		Next("give the path of the program")
}

// executable is nil when this user may run the file.
func executable(path string, info os.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return errno.New(errno.Perm, "cannot bind %q: it is not a file", path).Next("give the path of a program")
	case info.Mode().Perm()&0o111 == 0 || unix.Access(path, unix.X_OK) != nil:
		return errno.New(errno.Perm, "cannot bind %q: it cannot be executed", path).Next("allow it with: chmod +x %s", path)
	}
	return nil
}
