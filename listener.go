package ouroboros

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Listener is a net.Listener over the flows to a name.
type Listener struct {
	door *door
	name string
	once sync.Once
	done chan struct{} // closed by Close
}

// Accept gives the stream view of the next reliable flow; a flow that may
// lose messages is deallocated and passed over, and so is a client whose
// authentication failed.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		f, err := l.AcceptFlow(context.Background())
		switch {
		case errors.Is(err, ErrCrypt), errors.Is(err, ErrAuth):
			continue
		case err != nil:
			return nil, &net.OpError{Op: "accept", Net: "ouroboros", Addr: l.Addr(), Err: err}
		}
		s, err := f.Stream()
		if err == nil {
			return s, nil
		}
		f.Close()
	}
}

// AcceptFlow gives the next flow of any kind.
func (l *Listener) AcceptFlow(ctx context.Context) (*Flow, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	f, err := l.door.accept(ctx, l.name, l.done)
	if errors.Is(err, ErrNotAlloc) || errors.Is(err, errClientClosed) {
		err = net.ErrClosed
	}
	return f, err
}

// Close ends pending accepts with net.ErrClosed. Accepted flows go on.
func (l *Listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		close(l.done)
		l.door.unlisten(l.name)
		err = nil
	})
	return err
}

// Addr is the name.
func (l *Listener) Addr() net.Addr { return Addr(l.name) }
