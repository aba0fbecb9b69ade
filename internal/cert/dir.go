// Package cert makes the certificates of names and of those who issue them, and
// keeps the security directory.
package cert

import (
	"os"
	"path/filepath"
)

// DirEnv is the variable that chooses the security directory, for the daemon
// and for irm.
const DirEnv = "OUROBOROS_SECURITY_DIR"

// DefaultDir is the security directory of this user's daemon unless its
// configuration says otherwise.
func DefaultDir() string {
	if dir := os.Getenv(DirEnv); filepath.IsAbs(dir) {
		return dir
	}
	if os.Geteuid() != 0 {
		if dir, err := os.UserConfigDir(); err == nil {
			return filepath.Join(dir, "ouroboros", "security")
		}
	}
	return "/etc/ouroboros/security"
}
