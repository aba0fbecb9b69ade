package oping

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/tooltest"
)

// request makes a request by hand.
func request(id uint32, size int) []byte {
	b := make([]byte, size)
	Packet{Type: Request, ID: id}.Encode(b)
	return b
}

func TestIdleFlowsTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := tooltest.New(t)
		s := h.Start(t, Main, "n", "-l", "-Q")
		node := h.Process(t, "")
		idle, err := node.Alloc(t.Context(), "n", nil)
		if err != nil {
			t.Fatal(err)
		}
		busy, err := node.Alloc(t.Context(), "n", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 12 {
			time.Sleep(time.Second)
			if _, err := busy.Write(request(uint32(i), MinSize)); err != nil {
				t.Fatal(err)
			}
			// No request, and no reason to keep a flow.
			idle.Write([]byte("hello"))
		}
		synctest.Wait()
		if got := s.Stdout.String(); !strings.Contains(got, "Flow 64 timed out.\n") || strings.Contains(got, "Flow 65 timed out.") {
			t.Errorf("got:\n%s", got)
		}
		if _, err := idle.Read(make([]byte, 9)); !errors.Is(err, ouroboros.ErrFlowDown) {
			t.Errorf("the idle flow: %v", err)
		}
		s.Stop()
		s.Wait()
	})
}

func TestTheServerAnswersRequestsAlone(t *testing.T) {
	h := tooltest.New(t)
	s := h.Start(t, Main, "n", "-l")
	f, err := h.Process(t, "").Alloc(t.Context(), "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{
		{1}, request(0, MinSize)[:headerSize-1], bytes.Repeat([]byte{0xff}, MinSize), make([]byte, MaxSize+1),
	} {
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	want := request(7, MaxSize)
	want[100] = 42
	if _, err := f.Write(want); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 2*MaxSize)
	n, err := f.Read(got)
	if makeReply(want); err != nil || !bytes.Equal(got[:n], want) {
		t.Errorf("got %d bytes, %v", n, err)
	}
	f.Close()
	s.Stdout.Await(t, "Flow 64 deallocated.")
	if n := strings.Count(s.Stdout.String(), "Invalid message on fd 64.\n"); n != 4 {
		t.Errorf("%d invalid messages", n)
	}
}

func TestAClientThatDoesNotReadHoldsUpNobody(t *testing.T) {
	h := tooltest.New(t)
	s := h.Start(t, Main, "n", "-l", "-Q")
	node := h.Process(t, "")
	deaf, err := node.Alloc(t.Context(), "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := node.Alloc(t.Context(), "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	// More than the queue back holds.
	const many = 5000
	for i := range many {
		if _, err := deaf.Write(request(uint32(i), MaxSize)); err != nil {
			t.Fatal(err)
		}
	}
	other.SetReadTimeout(time.Minute)
	for i := range 10 {
		if _, err := other.Write(request(uint32(i), MinSize)); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Read(make([]byte, MinSize+1)); err != nil {
			t.Fatal(err)
		}
	}
	deaf.Close()
	other.Close()
	s.Stdout.AwaitCount(t, "New flow", 2)
	s.Stop()
	s.Wait()
	var flows, requests, replies, dropped, failed int
	_, total, _ := strings.Cut(s.Stdout.String(), "statistics ---\n")
	if _, err := fmt.Sscanf(total, "%d flows, %d requests, %d replies, %d dropped, %d failed",
		&flows, &requests, &replies, &dropped, &failed); err != nil {
		t.Fatal(err)
	}
	if dropped == 0 || requests != replies+dropped+failed {
		t.Errorf("%d requests, %d replies, %d dropped, %d failed", requests, replies, dropped, failed)
	}
}

func TestManyFlows(t *testing.T) {
	count := 1000
	if testing.Short() {
		count = 100
	}
	h := tooltest.New(t)
	s := h.Start(t, Main, "n", "-l", "-Q")
	node := h.Process(t, "")
	flows := make([]*ouroboros.Flow, count)
	for i := range flows {
		f, err := node.Alloc(t.Context(), "n", nil)
		if err != nil {
			t.Fatalf("flow %d: %v", i, err)
		}
		flows[i] = f
	}
	for range 3 {
		var clients sync.WaitGroup
		for i, f := range flows {
			clients.Go(func() {
				want := request(uint32(i), MinSize)
				got := make([]byte, MinSize+1)
				if _, err := f.Write(want); err != nil {
					t.Errorf("flow %d: %v", i, err)
				}
				n, err := f.Read(got)
				if makeReply(want); err != nil || !bytes.Equal(got[:n], want) {
					t.Errorf("flow %d: %v", i, err)
				}
			})
		}
		clients.Wait()
	}
	for _, f := range flows {
		f.Close()
	}
	s.Stop()
	s.Wait()
	want := fmt.Sprintf("%d flows, %d requests, %d replies, 0 dropped, 0 failed, 0 invalid\n", count, 3*count, 3*count)
	if !strings.HasSuffix(s.Stdout.String(), want) {
		t.Errorf("got %q, want %q", tail(s.Stdout.String()), want)
	}
}

func TestDescriptorsAreUsedAgain(t *testing.T) {
	h := tooltest.New(t)
	s := h.Start(t, Main, "n", "-l", "-Q")
	for strings.Count(s.Stdout.String(), "New flow 64.") < 3 {
		h.Start(t, Main, "", "-n", "n", "-c", "1", "-i", "0", "-Q").Wait()
	}
}

func tail(s string) string { return s[max(0, len(s)-200):] }
