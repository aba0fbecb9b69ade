package registry

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/rundir"
)

// OSStarter starts programs as processes of the host.
//
//	user          that of whoever bound the program, with its groups, when the
//	              daemon is root; the daemon's own otherwise, also for what root
//	              has bound
//	rights        none but those of the user, whatever the daemon has
//	environment   PATH HOME USER LOGNAME SHELL LANG TMPDIR XDG_RUNTIME_DIR of
//	              that user, and OUROBOROS_RUNTIME_DIR
//	directory     the user's home, or / when that cannot be entered
//	input         /dev/null
//	output        line by line into the log, when it is not too much
//	group         its own; all of it is ended with the daemon
type OSStarter struct {
	Log   *slog.Logger
	Dir   string        // runtime directory of the daemon, for the programs
	Env   []string      // more variables, NAME=value; they win
	Grace time.Duration // between SIGTERM and SIGKILL; 0 = 3 s
}

// defaultPath is where programs look for others.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Start implements Starter.
func (s *OSStarter) Start(ctx context.Context, argv []string, uid, gid uint32, exited func(err error)) (int, error) {
	if len(argv) == 0 {
		return 0, errno.New(errno.Invalid, "there is no program to start")
	}
	log := s.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = log.With("program", argv[0])
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if own := os.Geteuid(); own != 0 && uid == 0 {
		uid, gid = uint32(own), uint32(os.Getegid()) // root manages it; a user has fewer rights
	}
	who := lookupUser(uid)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = s.environment(who, uid)
	cmd.Dir = who.HomeDir
	if fi, err := os.Stat(cmd.Dir); err != nil || !fi.IsDir() || !filepath.IsAbs(cmd.Dir) {
		cmd.Dir = "/"
	}
	out := &lineLog{ctx: ctx, log: log, level: slog.LevelInfo}
	errs := &lineLog{ctx: ctx, log: log, level: slog.LevelWarn}
	cmd.Stdout, cmd.Stderr = out, errs
	// A descendant that keeps the output open must not hide the end.
	cmd.WaitDelay = 500 * time.Millisecond
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() == 0 {
		groups, err := groupsOf(who, uid, gid)
		if err != nil {
			return 0, err
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}
	} else if uid != uint32(os.Geteuid()) {
		return 0, errno.New(errno.Perm, "it was bound by user %d, and a daemon that is not root cannot start it for another user", uid)
	}

	started := make(chan error, 1)
	go func() {
		// The child gets its death signal when the thread that made it ends, so
		// that thread waits for it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		// What this thread starts would inherit them. A kernel that does not
		// know of them has none to inherit.
		unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		pid := cmd.Process.Pid
		log := log.With("pid", pid)
		out.set(log)
		errs.set(log)
		gone := make(chan struct{})
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			s.endWith(ctx, pid, gone)
		}()
		started <- nil
		// Not reaped yet, the child keeps its number, and the number of its
		// group, from being given to others while they are signalled.
		for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
		close(gone)
		<-asked
		err := cmd.Wait()
		if errors.Is(err, exec.ErrWaitDelay) {
			err = nil
		}
		out.flush()
		errs.flush()
		if err != nil {
			log = log.With("how", err)
		}
		log.Info("a program that was started on demand has ended")
		exited(err)
	}()
	if err := <-started; err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil
}

// endWith asks the group to end when ctx does, and kills what has not ended
// after Grace. gone says that the child itself has ended.
func (s *OSStarter) endWith(ctx context.Context, pid int, gone <-chan struct{}) {
	select {
	case <-gone:
		if ctx.Err() == nil {
			return // it may have left a server behind on purpose
		}
	case <-ctx.Done():
	}
	syscall.Kill(-pid, syscall.SIGTERM)
	grace := s.Grace
	if grace == 0 {
		grace = 3 * time.Second
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-gone:
	case <-t.C:
	}
	syscall.Kill(-pid, syscall.SIGKILL)
}

// lookupUser knows a user by number, also one that has no account.
func lookupUser(uid uint32) *user.User {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u
	}
	return &user.User{Uid: id, Username: id, HomeDir: "/"}
}

// groupsOf gives the supplementary groups of a user.
func groupsOf(u *user.User, uid, gid uint32) ([]uint32, error) {
	if uid == uint32(os.Geteuid()) && gid == uint32(os.Getegid()) {
		own, err := os.Getgroups()
		if err != nil {
			return nil, err
		}
		groups := make([]uint32, len(own))
		for i, g := range own {
			groups[i] = uint32(g)
		}
		return groups, nil
	}
	groups := []uint32{gid}
	ids, err := u.GroupIds()
	if err != nil {
		return groups, nil // no account: no more groups
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil && uint32(n) != gid {
			groups = append(groups, uint32(n))
		}
	}
	return groups, nil
}

func (s *OSStarter) environment(u *user.User, uid uint32) []string {
	own := func(name, otherwise string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return otherwise
	}
	env := []string{
		"PATH=" + own("PATH", defaultPath),
		"HOME=" + u.HomeDir,
		"USER=" + u.Username,
		"LOGNAME=" + u.Username,
		"SHELL=/bin/sh",
		"LANG=" + own("LANG", "C.UTF-8"),
	}
	runtimeDir := "/run/user/" + strconv.FormatUint(uint64(uid), 10)
	if uid == uint32(os.Geteuid()) {
		env = append(env, "TMPDIR="+own("TMPDIR", "/tmp"))
		runtimeDir = own("XDG_RUNTIME_DIR", runtimeDir)
	} else {
		env[0] = "PATH=" + defaultPath
		env = append(env, "TMPDIR=/tmp")
	}
	if fi, err := os.Stat(runtimeDir); err == nil && fi.IsDir() {
		env = append(env, "XDG_RUNTIME_DIR="+runtimeDir)
	}
	if s.Dir != "" {
		env = append(env, rundir.Env+"="+s.Dir)
	}
	return append(env, s.Env...)
}
