package stack_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/irm"
	"ouroboros/stack"
)

func TestANodeOfAProgramCanBeUsedLikeADaemon(t *testing.T) {
	n, err := stack.New(stack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	dir := filepath.Join(t.TempDir(), "node")
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- n.Serve(ctx, dir, nil) }()

	var c *irm.Client
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if c, err = irm.DialDir(dir); err == nil {
			break
		}
		if time.Now().After(limit) {
			t.Fatal(err)
		}
	}
	defer c.Close()
	if _, err := c.CreateIPCP(t.Context(), "l1", irm.Local); err != nil {
		t.Fatal(err)
	}
	ipcps, err := n.ListIPCPs(t.Context())
	if err != nil || len(ipcps) != 1 || ipcps[0].Name != "l1" {
		t.Errorf("the node has %v: %v", ipcps, err)
	}
	if err := n.Serve(t.Context(), dir, nil); !errors.Is(err, ouroboros.ErrExist) {
		t.Errorf("a second one in the same directory: %v", err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := n.ListIPCPs(t.Context()); err != nil {
		t.Errorf("the node has ended with its sockets: %v", err)
	}
}
