package daemon

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"ouroboros/internal/cert"
	"ouroboros/internal/config"
	"ouroboros/internal/errno"
	"ouroboros/internal/rundir"
)

// A daemon that is to have fewer rights than it was started with gives them up
// before it does anything else, and then begins anew, so that each of its
// threads has what is left:
//
//	irmd as root ─► directories ─► user, capabilities, sandbox ─► exec irmd
//
// The places, which are found with the rights and the environment of before,
// travel in a variable.

// settled is the variable that carries the places to the daemon that begins
// anew.
const settled = "OUROBOROS_IRMD_SETTLED"

// places are where the daemon keeps what it has.
type places struct {
	Dir      string // runtime directory
	Chosen   bool   // by somebody
	State    string // file; empty = none is kept
	Security string
	Sandbox  string // why there is none although it was asked for; empty when there is
}

// findPlaces gives the places with the rights and the environment of now.
func (d *Daemon) findPlaces() places {
	var p places
	p.Dir, p.Chosen = d.directory()
	if p.Dir == "" {
		p.Dir = rundir.Default()
	}
	if d.file.Daemon.Keep {
		if p.State = d.file.Daemon.StateFile; p.State == "" {
			p.State = statePath(p.Dir, p.Chosen)
		}
	}
	if p.Security = d.file.Security.Dir; p.Security == "" {
		p.Security = cert.DefaultDir()
	}
	return p
}

// settle gives up rights as the options and the configuration want, in which
// case it does not return but begins the daemon anew.
func (d *Daemon) settle() error {
	if text, ok := os.LookupEnv(settled); ok {
		os.Unsetenv(settled)
		if err := json.Unmarshal([]byte(text), &d.places); err != nil {
			return fmt.Errorf("the variable %s is not for people: %w", settled, err)
		}
		return nil
	}
	d.places = d.findPlaces()
	who := d.options.User
	if who == "" {
		who = d.file.Daemon.User
	}
	if who != "" && os.Geteuid() != 0 {
		d.log.Warn("only a daemon that root has started can become another user", "user", who)
		who = ""
	}
	sandbox := d.sandboxed()
	if who == "" && !sandbox {
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	// The thread ends with the process, or the process with it: nobody else
	// gets to use a thread that is half way.
	runtime.LockOSThread()
	var u config.Account
	if who != "" {
		if u, err = (config.Principal{Name: who}).Account(); err != nil {
			return err
		}
		if err := d.places.give(u); err != nil {
			return err
		}
		if err := become(u); err != nil {
			return errno.New(errno.Of(errno.Number(err)), "cannot become the user %s: %v", who, err).
				Next("start irmd as root, or as that user without the option")
		}
	}
	if sandbox {
		if err := enterSandbox(exe, d.places.writable()...); err != nil {
			d.places.Sandbox = err.Error()
		}
	}
	text, err := json.Marshal(d.places)
	if err != nil {
		return err
	}
	env := append(environment(u), settled+"="+string(text))
	return fmt.Errorf("cannot begin anew: %w", syscall.Exec(exe, os.Args, env))
}

func (d *Daemon) sandboxed() bool { return d.options.Sandbox || d.file.Security.Sandbox }

// give makes the directories that the daemon writes to, for its user. What is
// there must be root's or the user's already.
func (p places) give(u config.Account) error {
	dirs := map[string]os.FileMode{p.Dir: 0o755}
	if p.State != "" {
		if dir := filepath.Dir(p.State); dir != p.Dir {
			dirs[dir] = 0o700
		}
	}
	hand := func(path string) error {
		err := os.Lchown(path, int(u.UID), int(u.GID))
		if err != nil {
			return errno.New(errno.Of(errno.Number(err)), "cannot give %s to the user %d: %v", path, u.UID, err)
		}
		return nil
	}
	for dir, mode := range dirs {
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return errno.New(errno.Of(errno.Number(err)), "cannot make %s: %v", filepath.Dir(dir), err)
		}
		err := os.Mkdir(dir, mode)
		if err == nil {
			err = os.Chmod(dir, mode)
		} else if os.IsExist(err) {
			err = nil
		}
		if err != nil {
			return errno.New(errno.Of(errno.Number(err)), "cannot make %s: %v", dir, err)
		}
		if owner, plain := ownerOf(dir); !plain || owner != 0 && owner != u.UID {
			return errno.New(errno.Perm, "cannot give %s to the user %d: it is another user's, or no directory", dir, u.UID).
				Next("choose another directory, or remove this one")
		}
		if err := hand(dir); err != nil {
			return err
		}
		// What a daemon of root has left there. Nobody else could have put it
		// there.
		for _, file := range []string{rundir.LockFile, filepath.Base(p.State), filepath.Base(p.State) + lockEnding} {
			path := filepath.Join(dir, file)
			if owner, _ := ownerOf(path); owner == 0 {
				if _, err := os.Lstat(path); err == nil {
					if err := hand(path); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// ownerOf gives the user whom a path belongs to, and whether it is no link.
func ownerOf(path string) (uid uint32, plain bool) {
	fi, err := os.Lstat(path)
	if err != nil {
		return 0, false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	return st.Uid, ok && fi.Mode()&os.ModeSymlink == 0
}

// writable are the directories that the daemon writes to.
func (p places) writable() []string {
	dirs := []string{p.Dir}
	if p.State != "" {
		dirs = append(dirs, filepath.Dir(p.State))
	}
	return dirs
}

// kept are the capabilities of a daemon that is not root: Ethernet frames.
const kept = 1 << unix.CAP_NET_RAW

// become makes the calling thread that of another user, with the capabilities
// kept and no way to others, for itself and all that it will start.
func become(u config.Account) error {
	raiseHard()
	for c := range uintptr(64) {
		if kept>>c&1 == 0 {
			if err := prctl(unix.PR_CAPBSET_DROP, c); err == unix.EINVAL {
				break // beyond the last one that the kernel knows
			} else if err != nil {
				return err
			}
		}
	}
	if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return err
	}
	if err := prctl(unix.PR_SET_KEEPCAPS, 1); err != nil {
		return err
	}
	if err := setIDs(u); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	set := [2]unix.CapUserData{{Effective: kept, Permitted: kept, Inheritable: kept}}
	if err := unix.Capset(&header, &set[0]); err != nil {
		return err
	}
	return prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_RAW)
}

func prctl(option int, args ...uintptr) error {
	var a [4]uintptr
	copy(a[:], args)
	return unix.Prctl(option, a[0], a[1], a[2], a[3])
}

// hide keeps other processes of the same user from reading keys out of the
// daemon's memory, and the kernel from writing them into a core file.
func hide() error { return prctl(unix.PR_SET_DUMPABLE, 0) }

// environment gives the variables of a daemon that has become another user:
// those that name places of the one before are left out.
func environment(u config.Account) []string {
	if u.Name == "" {
		return os.Environ()
	}
	env := []string{"HOME=" + u.Home, "USER=" + u.Name, "LOGNAME=" + u.Name}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case name == "HOME", name == "USER", name == "LOGNAME", name == "TMPDIR", strings.HasPrefix(name, "XDG_"):
		default:
			env = append(env, kv)
		}
	}
	return env
}

// sayConfined logs whether there is a sandbox.
func (d *Daemon) sayConfined() {
	switch {
	case d.places.Sandbox != "":
		d.log.Warn("there is no sandbox", "why", strings.TrimSpace(d.places.Sandbox))
	case d.sandboxed():
		d.log.Info("irmd is in a sandbox: it writes to its own directories alone, and starts no programs")
	}
}
