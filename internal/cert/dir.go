package cert

import (
	"os"
	"path/filepath"
	"strings"

	"ouroboros/internal/errno"
	"ouroboros/internal/oap"
	"ouroboros/irm"
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

// Dir is a security directory, by its path.
type Dir string

// Names of files and directories in it. Those of the trust store, and of the
// two sides, are the protocol's.
const (
	authorities = "ca"
	trusted     = "cacert"
	between     = "untrusted"
	revoked     = "revoked"

	certFile = "crt.pem"
	keyFile  = "key.pem"
	encFile  = "enc.conf"
)

// Side is one of the two sides of a name.
type Side string

// The sides.
const (
	Server Side = oap.ServerSide
	Client Side = oap.ClientSide
)

func (d Dir) join(elem ...string) string {
	return filepath.Join(append([]string{string(d)}, elem...)...)
}

// authority is where the certificate and the key of an authority are.
func (d Dir) authority(name string) pair {
	return pair{d.join(authorities, name, certFile), d.join(authorities, name, keyFile)}
}

// of is where the certificate and the key of one side of a name are.
func (d Dir) of(side Side, name string) pair {
	return pair{d.join(string(side), name, certFile), d.join(string(side), name, keyFile)}
}

// trust is where the certificate of a trusted authority is.
func (d Dir) trust(name string) string { return d.join(trusted, name+".pem") }

// pair is a certificate with its private key, by their paths.
type pair struct{ cert, key string }

// CheckName is nil for a name that can have files: what can be a name, and
// the name of a directory.
func CheckName(what, name string) error {
	if err := irm.CheckName(what, name); err != nil {
		return err
	}
	if oap.DefaultDir("/", oap.ServerSide, name) == "" {
		return errno.New(errno.Invalid, "the %s %q cannot be the name of a directory", what, name).
			Next("leave out / and the like")
	}
	return nil
}

// unknownToC says what the C implementation does not make of a name in a
// certificate; empty when nothing is wrong.
func unknownToC(name string) string {
	if strings.ContainsAny(name, ",") {
		return "a node of the C implementation cuts the name at the comma and refuses the certificate"
	}
	return ""
}
