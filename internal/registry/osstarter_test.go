package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ouroboros/internal/rundir"
)

// logBuffer is a log to look into.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// script runs a shell script under the starter and gives what it logged, its
// pid, and how it ended.
func runScript(t *testing.T, ctx context.Context, s *OSStarter, uid, gid uint32, text string) (log *logBuffer, pid int, exited chan error) {
	t.Helper()
	log, exited = &logBuffer{}, make(chan error, 1)
	s.Log = slog.New(slog.NewTextHandler(log, nil))
	pid, err := s.Start(ctx, []string{"/bin/sh", "-c", text}, uid, gid, func(err error) { exited <- err })
	if err != nil {
		t.Fatal(err)
	}
	return log, pid, exited
}

func self() (uint32, uint32) { return uint32(os.Getuid()), uint32(os.Getgid()) }

func TestAStartedProgramHasASaneEnvironment(t *testing.T) {
	uid, gid := self()
	log, pid, exited := runScript(t, bg, &OSStarter{Dir: "/run/test", Env: []string{"MORE=1"}}, uid, gid,
		`env | sed 's/^/env:/'; cat; echo group $(ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat); printf 'no end of line' >&2; exit 3`)
	err := <-exited
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("ended with %v", err)
	}
	for _, want := range []string{"env:PATH=", "env:HOME=/", "env:USER=", "env:LOGNAME=", "env:LANG=", "env:TMPDIR=",
		"env:" + rundir.Env + "=/run/test", "env:MORE=1", `line="no end of line"`, "level=WARN", "program=/bin/sh", fmt.Sprint("pid=", pid)} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, log)
		}
	}
	if syscall.Kill(pid, 0) == nil {
		t.Error("the child was not reaped")
	}
}

func TestAStartedProgramRunsAsWhoeverBoundIt(t *testing.T) {
	if os.Getuid() != 0 {
		_, err := (&OSStarter{}).Start(bg, []string{"/bin/true"}, uint32(os.Getuid())+1, 0, func(error) {})
		if err == nil {
			t.Error("another user's program was started without root")
		}
		return
	}
	log, _, exited := runScript(t, bg, &OSStarter{}, 65534, 65534, `id -u; id -g; id -G; cat /proc/self/status | grep Groups`)
	if err := <-exited; err != nil {
		t.Fatal(err, log)
	}
	if strings.Count(log.String(), "line=65534") < 3 || strings.Contains(log.String(), "line=0") {
		t.Errorf("it did not run as nobody:\n%s", log)
	}
}

func TestStartedProgramsEndWithTheNode(t *testing.T) {
	uid, gid := self()
	for _, tc := range []struct{ name, script string }{
		{"one that obeys", `echo ready; sleep 1000 & wait`},
		{"one that does not", `trap '' TERM; echo ready; while :; do sleep 1000; done`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(bg)
			defer cancel()
			log, pid, exited := runScript(t, ctx, &OSStarter{Grace: 200 * time.Millisecond}, uid, gid, tc.script)
			for deadline := time.Now().Add(time.Minute); !strings.Contains(log.String(), "line=ready"); yield() {
				if time.Now().After(deadline) {
					t.Fatal("the program did not start")
				}
			}
			cancel()
			if err := <-exited; err == nil {
				t.Error("it ended without a signal")
			}
			// Its whole group dies: what init has not reaped yet does not run, and
			// what was killed runs until its processor has heard of it.
			for deadline := time.Now().Add(30 * time.Second); ; yield() {
				out, err := exec.Command("pgrep", "-g", fmt.Sprint(pid), "-r", "R,S,D").Output()
				if err != nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("of its group there is left: %s", out)
				}
			}
		})
	}
}

func TestWhatCannotBeStartedSaysSo(t *testing.T) {
	uid, gid := self()
	s := &OSStarter{}
	called := func(error) { t.Error("exited was called") }
	if _, err := s.Start(bg, nil, uid, gid, called); err == nil {
		t.Error("nothing was started")
	}
	if _, err := s.Start(bg, []string{"/nothing/here"}, uid, gid, called); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
	over, cancel := context.WithCancel(bg)
	cancel()
	if _, err := s.Start(over, []string{"/bin/true"}, uid, gid, called); err == nil {
		t.Error("started after the end")
	}
}
