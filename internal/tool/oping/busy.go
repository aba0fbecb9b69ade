package oping

import (
	"context"
	"errors"
	"runtime"

	"ouroboros"
	"ouroboros/internal/tool/console"
)

// busy serves a single flow, spinning on it, until the flow ends.
func (s *server) busy(ctx context.Context, node *ouroboros.Client) error {
	flow, err := s.acceptOne(ctx, node)
	if flow == nil {
		return err
	}
	defer flow.Close()
	s.flows.Add(1)
	id := flow.ID()
	s.tell(event{Event: "flow", FD: console.FirstFD, Flow: &id, QoS: flow.QoS().String()},
		"New flow %d (busy-poll).\n", console.FirstFD)
	flow.SetFlags(ouroboros.ReadWrite | ouroboros.NonBlocking | ouroboros.NoPartialRead | ouroboros.NoPartialWrite)
	f := &figures{}
	why := s.spin(ctx, flow, f)
	s.requests.Add(f.Requests)
	s.replies.Add(f.Replies)
	s.dropped.Add(f.Dropped)
	s.failed.Add(f.Failed)
	s.invalid.Add(f.Invalid)
	if s.JSON {
		s.out.JSON(event{Event: "end", FD: console.FirstFD, Flow: &id, Reason: why, figures: f})
	}
	return nil
}

// acceptOne gives the first flow that can be accepted; nil when ctx ends or
// the node is gone.
func (s *server) acceptOne(ctx context.Context, node *ouroboros.Client) (*ouroboros.Flow, error) {
	for {
		flow, err := node.Accept(ctx)
		switch {
		case err == nil:
			return flow, nil
		case ctx.Err() != nil:
			return nil, nil
		case errors.Is(err, ouroboros.ErrCrypt), errors.Is(err, ouroboros.ErrAuth):
			s.AcceptFailed(err)
		default:
			return nil, err
		}
	}
}

// spin echoes until the flow or ctx ends, and says which.
func (s *server) spin(ctx context.Context, flow *ouroboros.Flow, f *figures) (why string) {
	buf := make([]byte, MaxSize)
	for empty := 0; ; {
		n, err := flow.Read(buf)
		switch {
		case err == nil && isRequest(buf[:n]):
			f.Requests++
			makeReply(buf)
			switch _, err := flow.Write(buf[:n]); {
			case err == nil:
				f.Replies++
			case wouldBlock(err):
				f.Dropped++
			default:
				f.Failed++
			}
		case err == nil, errors.Is(err, ouroboros.ErrMsgSize):
			f.Invalid++
		case !wouldBlock(err):
			return "down"
		}
		if empty++; empty%spins == 0 {
			if ctx.Err() != nil {
				return "stopped"
			}
			runtime.Gosched() // the signal needs a goroutine, too
		}
	}
}

// wouldBlock is errors.Is with a short way for the usual case.
func wouldBlock(err error) bool {
	return err == ouroboros.ErrWouldBlock || errors.Is(err, ouroboros.ErrWouldBlock)
}
