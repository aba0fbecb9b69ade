// Package rundir knows where a daemon lives: its runtime directory and the
// sockets in it.
//
//	daemon as root   /run/ouroboros (0755)
//	other users      $XDG_RUNTIME_DIR/ouroboros, else /tmp/ouroboros-UID (0700)
//	either           $OUROBOROS_RUNTIME_DIR
//
// A daemon claims its directory (Claim); a client looks for a daemon's socket
// (Dial): in $OUROBOROS_RUNTIME_DIR alone if that is set, else in the
// directory of its own user, else in the system's.
package rundir

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Names of the files in the directory.
const (
	FlowSocket = "flow.sock" // SOCK_SEQPACKET: one connection a process, package session
	APISocket  = "irmd.sock" // HTTP: the management interface
	LockFile   = "irmd.lock" // locked by the daemon that lives here; holds its pid
)

// Env is the variable that overrides the place for daemon and clients alike.
const Env = "OUROBOROS_RUNTIME_DIR"

// system is where the daemon of the machine lives.
const system = "/run/ouroboros"

// place finds directories for one user with one environment.
type place struct {
	uid    int
	getenv func(string) string
	tmp    string
}

func here() place {
	return place{uid: os.Geteuid(), getenv: os.Getenv, tmp: "/tmp"}
}

// Default is the directory of a daemon that this user starts.
func Default() string { return here().daemon() }

// Candidates are the directories in which a client of this user looks, in
// order.
func Candidates() []string { return here().candidates() }

func (p place) daemon() string {
	if dir := p.getenv(Env); dir != "" {
		return filepath.Clean(dir)
	}
	return p.own()
}

// own is the directory of the user's daemon when nothing else is said.
func (p place) own() string {
	if p.uid == 0 {
		return system
	}
	if dir := p.getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "ouroboros")
	}
	return filepath.Join(p.tmp, fmt.Sprintf("ouroboros-%d", p.uid))
}

func (p place) candidates() []string {
	if dir := p.getenv(Env); dir != "" {
		return []string{filepath.Clean(dir)}
	}
	if own := p.own(); own != system {
		return []string{own, system}
	}
	return []string{system}
}

// trusted says why a directory must not be used by the user: somebody else
// could have put the sockets there.
func trusted(dir string, uid int) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	st := fi.Sys().(*syscall.Stat_t)
	if owner := int(st.Uid); owner != uid && owner != 0 {
		return fmt.Errorf("%s belongs to user %d", dir, owner)
	}
	if perm := fi.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("%s can be written by others (mode %s)", dir, fs.FileMode(perm))
	}
	return nil
}
