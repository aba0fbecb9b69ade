package interop

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/test/host"
)

// play is what this test binary does when it is started again as a process
// under test. Every role ends when its standard input does.
//
//	echo  accepts flows for ever and returns each message
//	sum   accepts flows for ever, and answers each message of 8 bytes with
//	      the SHA-256 of the messages before it
//	mute  never accepts a flow
//
// A flow that is down comes up again: they wait for that.
func play(role string) int {
	end := make(chan struct{})
	go func() {
		s := bufio.NewScanner(os.Stdin)
		for s.Scan() {
		}
		close(end)
	}()
	c, err := ouroboros.Open("")
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	fmt.Println("ready")
	serve := map[string]func(*ouroboros.Flow){"echo": echo, "sum": sum}[role]
	if serve != nil {
		go func() {
			for {
				f, err := c.Accept(context.Background())
				if err != nil {
					fmt.Println("accept:", err)
					return
				}
				go serve(f)
			}
		}()
	}
	<-end
	return 0
}

func echo(f *ouroboros.Flow) {
	defer f.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := patient(f.Read, buf)
		if err != nil {
			return
		}
		if _, err := patient(f.Write, buf[:n]); err != nil {
			return
		}
	}
}

func sum(f *ouroboros.Flow) {
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 1<<16)
	for {
		n, err := patient(f.Read, buf)
		if err != nil {
			return
		}
		if n != 8 {
			h.Write(buf[:n])
			continue
		}
		if _, err := patient(f.Write, h.Sum(nil)); err != nil {
			return
		}
		h.Reset()
	}
}

// patient reads or writes, and waits while the flow is down.
func patient(do func([]byte) (int, error), b []byte) (n int, err error) {
	for range int(2 * host.Patience / downPause) {
		if n, err = do(b); !errors.Is(err, ouroboros.ErrFlowDown) {
			return n, err
		}
		time.Sleep(downPause)
	}
	return n, err
}

const downPause = 5 * time.Millisecond

// role runs this binary on the server's host, which is ours, bound to the name
// of the role.
func (w *world) role(t testing.TB, role string) *host.Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := w.server.Go(t, []string{"OUROBOROS_TEST_ROLE=" + role}, self)
	p.Out.Await(t, "ready")
	w.server.Bind(t, p, role)
	w.register(t, role)
	return p
}
