package oap

import (
	"path/filepath"
	"strings"
)

// Security is what a node does for one name and one side of an exchange. It
// is built anew for each allocation: files are read each time, so that what an
// administrator changes holds from the next flow on.
//
//	file          default           what it says
//	Encryption    Dir/enc.conf      how flows are encrypted; absent = not by this side's wish
//	Certificate   Dir/crt.pem       who this side is; absent, as is Key, = anonymous
//	Key           Dir/key.pem       the private key of Certificate
//	              Dir/kex.key.*     server: private key for clients that encapsulate, .pem or .raw
//	              Dir/kex.srv.pub.* client: public key of such a server, .pem or .raw
//
// The zero value has no files and demands nothing.
type Security struct {
	Dir         string // the default place of all files; "" = there is none
	Encryption  string // path; "" = the default
	Certificate string // path; "" = the default
	Key         string // path; "" = the default

	RequireAuth       bool     // refuse a peer that shows no certificate (errno.AuthFailed)
	RequireEncryption bool     // refuse a plain flow, and a cipher without integrity (errno.Crypt)
	Allow             []string // server: common names of the clients that may (errno.AuthFailed); empty = all
}

// The directories below <config dir>/security that hold one directory for each
// name.
const (
	ServerSide = "server"
	ClientSide = "client"
)

// DefaultDir is where the files of a name are unless somebody says otherwise:
// base/side/name. It is "" when base is, and for a name that cannot be that of
// a directory.
func DefaultDir(base, side, name string) string {
	if base == "" || name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return ""
	}
	return filepath.Join(base, side, name)
}

// path gives that of a file.
func (s *Security) path(set, name string) string {
	if set == "" && s.Dir != "" {
		return filepath.Join(s.Dir, name)
	}
	return set
}
