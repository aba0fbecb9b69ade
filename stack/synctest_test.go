package stack_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros"
	"ouroboros/stack"
)

func TestManyNodesLiveInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			n, err := stack.New(stack.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			l := listen(t, n, "service")
			f, s := connect(t, client(t, n, "client"), l)
			f.Write([]byte("hello"))
			buf := make([]byte, 10)
			if k, err := s.Read(buf); err != nil || string(buf[:k]) != "hello" {
				t.Fatalf("read %q: %v", buf[:k], err)
			}
			before := time.Now()
			s.SetReadTimeout(time.Hour)
			if _, err := s.Read(buf); !errors.Is(err, ouroboros.ErrTimeout) {
				t.Errorf("read: %v", err)
			}
			if d := time.Since(before); d != time.Hour {
				t.Errorf("an hour took %v", d)
			}
		}
	})
}
