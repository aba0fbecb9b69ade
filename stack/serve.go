package stack

import (
	"context"
	"log/slog"

	"ouroboros/internal/server"
)

// Serve puts the sockets of a daemon round the node in the runtime directory
// dir, so that irm, the tools and other programs of this user can use it:
//
//	go n.Serve(ctx, "/tmp/mine", nil)
//	$ OUROBOROS_RUNTIME_DIR=/tmp/mine irm ipcp list
//
// It returns when ctx has ended and every session with it, or why it cannot
// serve: ErrExist when a daemon lives in dir. The node itself lives on. Programs
// are started on demand only by a node whose Config names the same Dir. log may
// be nil.
func (n *Node) Serve(ctx context.Context, dir string, log *slog.Logger) error {
	s, err := server.New(server.Config{Dir: dir, Node: n.registry, Fabric: n.fabric, Log: log})
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}
