package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/args"
)

func TestOptionsEndATool(t *testing.T) {
	for _, tc := range []struct {
		word           string
		code           int
		ok             bool
		stdout, stderr string
	}{
		{"-l", 0, true, "", ""},
		{"--version", 0, false, "sample " + ouroboros.Version + "\n", ""},
		{"--help", 0, false, "Usage: sample", ""},
		{"--bad", 1, false, "", "Unknown option: --bad.\nTry: sample --help\n"},
	} {
		t.Run(tc.word, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			env := Env{Stdout: &stdout, Stderr: &stderr}
			set := args.New("sample", "Shows something.")
			var listen bool
			set.Flag(&listen, "-l", "--listen", "Serve")
			code, ok := env.Parse("sample", set, []string{tc.word})
			if code != tc.code || ok != tc.ok {
				t.Errorf("got %d, %v", code, ok)
			}
			if got := stdout.String(); !strings.HasPrefix(got, tc.stdout) || (tc.stdout == "") != (got == "") {
				t.Errorf("stdout %q", got)
			}
			if got := stderr.String(); !strings.HasPrefix(got, tc.stderr) || (tc.stderr == "") != (got == "") {
				t.Errorf("stderr %q", got)
			}
		})
	}
}

func TestWithoutADaemonTheCauseIsTold(t *testing.T) {
	var stderr bytes.Buffer
	env := Env{Stderr: &stderr, Open: func() (*ouroboros.Client, error) {
		return nil, errors.New("no daemon; start one with: irmd")
	}}
	if env.Connect() != nil {
		t.Fatal("connected")
	}
	if got, want := stderr.String(), "Could not reach the IRM daemon.\n  no daemon; start one with: irmd\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestACommandLineWithoutItsSubjectGetsTheHelp(t *testing.T) {
	var stderr bytes.Buffer
	env := Env{Stderr: &stderr}
	if code := env.Mistake(args.New("sample", "Shows something."), args.Lost("No server specified.")); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if got := stderr.String(); !strings.HasPrefix(got, "No server specified.\n\nUsage: sample [OPTION]...\n") {
		t.Errorf("got %q", got)
	}
}

func TestAServerEndsWellWithItsDaemon(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code int
		want string
	}{
		{fmt.Errorf("gone: %w", ouroboros.ErrIRMd), 0, "The IRM daemon has ended, and the server with it.\n"},
		{ouroboros.ErrNotAlloc, 1, "The server ends.\n  "},
	} {
		var stderr bytes.Buffer
		if code := (Env{Stderr: &stderr}).Ended(tc.err); code != tc.code || !strings.HasPrefix(stderr.String(), tc.want) {
			t.Errorf("%v: code %d, %q", tc.err, code, stderr.String())
		}
	}
}

func TestASinkRemembersItsFirstFailure(t *testing.T) {
	for _, tc := range []struct{ err, want error }{{syscall.ENOSPC, syscall.ENOSPC}, {syscall.EPIPE, nil}} {
		s := &Sink{W: failing{tc.err}}
		s.Write([]byte("a"))
		s.W = io.Discard
		s.Write([]byte("b"))
		if err := s.Err(); err != tc.want {
			t.Errorf("got %v, want %v", err, tc.want)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestFastLinesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w countingWriter
		o := NewOutput(&w, nil)
		for range 10 {
			o.End(append(o.Begin(), "line\n"...))
		}
		if w.calls != 0 {
			t.Errorf("%d writes at once", w.calls)
		}
		time.Sleep(flushAfter)
		o.End(append(o.Begin(), "line\n"...))
		if w.calls != 1 || w.String() != strings.Repeat("line\n", 11) {
			t.Errorf("after a while: %d writes, %q", w.calls, w.String())
		}
		o.End(append(o.Begin(), "more\n"...))
		o.Flush()
		o.Flush()
		if w.calls != 2 || !strings.HasSuffix(w.String(), "line\nmore\n") {
			t.Errorf("after a flush: %d writes, %q", w.calls, w.String())
		}
	})
}

func TestOtherLinesDoNotWait(t *testing.T) {
	var w countingWriter
	o := NewOutput(&w, nil)
	o.End(append(o.Begin(), "first\n"...))
	o.Printf("second %d\n", 2)
	o.JSON(map[string]int{"third": 3})
	if got, want := w.String(), "first\nsecond 2\n{\"third\":3}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAReaderThatIsGoneIsToldOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	r, w := io.Pipe()
	r.Close()
	o := NewOutput(w, func() { calls++; cancel() })
	o.Printf("a\n")
	o.Printf("b\n")
	if calls != 1 || ctx.Err() == nil {
		t.Errorf("%d calls, context %v", calls, ctx.Err())
	}
}

func TestGatheringDoesNotAllocate(t *testing.T) {
	o := NewOutput(io.Discard, nil)
	o.buf = make([]byte, 0, 2*flushAt)
	if n := testing.AllocsPerRun(1000, func() {
		o.End(append(o.Begin(), "64 bytes from somewhere\n"...))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type countingWriter struct {
	bytes.Buffer
	calls int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.calls++
	return w.Buffer.Write(p)
}
