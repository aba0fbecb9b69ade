package ouroboros

import (
	"context"
	"errors"
	"net"
	"sync"

	"ouroboros/internal/errno"
	"ouroboros/internal/session"
)

// strangers is how many accepted flows wait for a name on which nobody
// accepts at the moment.
const strangers = 128

// door gives the flows that a node grants to those who accept them. The node
// grants the flows of all names of the process in one stream; a Listener wants
// those of one name.
//
// As many calls to the node are under way as callers wait here, so that the
// node knows how many flows it can promise. Such a call may bring a flow that
// is somebody else's.
type door struct {
	client *Client

	mu      sync.Mutex
	guests  []*guest // who waits, the oldest first
	hall    []*Flow  // flows that nobody waited for
	names   map[string]int
	calls   map[*call]struct{} // to the node
	closed  bool
	running sync.WaitGroup
}

// guest is a waiting accept.
type guest struct {
	name string // "" = any
	got  chan offer
}

// call is one that is under way in the node.
type call struct {
	cancel context.CancelFunc
	ended  chan struct{} // closed when the node has none any more
}

type offer struct {
	flow *Flow
	err  error
}

func (d *door) init(c *Client) {
	d.client = c
	d.names = make(map[string]int)
	d.calls = make(map[*call]struct{})
}

// accept waits for a flow to name, or for one that no listener wants when name
// is empty. stop ends it with net.ErrClosed.
func (d *door) accept(ctx context.Context, name string, stop <-chan struct{}) (*Flow, error) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, errClientClosed
	}
	if f := d.fromHall(name); f != nil {
		d.mu.Unlock()
		return f, nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		d.running.Add(1)
		d.mu.Unlock()
		return d.poll(ctx, name)
	}
	g := &guest{name: name, got: make(chan offer, 1)}
	d.guests = append(d.guests, g)
	d.balance()
	d.mu.Unlock()

	var err error
	select {
	case o := <-g.got:
		return o.flow, o.err
	case <-ctx.Done():
		err = timely(ctx.Err(), "cannot accept a flow: none came in time")
	case <-stop:
		err = net.ErrClosed
	}
	d.mu.Lock()
	d.remove(g)
	cancelled := d.balance()
	d.mu.Unlock()
	// An accept that has returned is not pending in the node any more: no
	// client gets a flow on its account.
	for _, k := range cancelled {
		<-k.ended
	}
	select {
	case o := <-g.got: // came meanwhile
		if o.err == nil {
			return o.flow, nil
		}
	default:
	}
	if err == net.ErrClosed {
		return nil, err
	}
	d.mu.Lock()
	f := d.fromHall(name)
	d.mu.Unlock()
	if f != nil { // came with a call that was cancelled too late
		return f, nil
	}
	return nil, err
}

// fromHall gives the oldest flow that nobody waited for and this caller wants,
// or nil. Callers hold mu.
func (d *door) fromHall(name string) *Flow {
	for i, f := range d.hall {
		if d.wants(name, f) {
			d.hall = append(d.hall[:i], d.hall[i+1:]...)
			return f
		}
	}
	return nil
}

// poll takes a flow that a client waits for at the moment.
func (d *door) poll(ctx context.Context, name string) (*Flow, error) {
	defer d.running.Done()
	g, err := d.client.backend.Accept(ctx)
	if err != nil {
		return nil, timely(err, "cannot accept a flow: none waits")
	}
	f, err := d.client.adopt(g, true)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	mine := d.wants(name, f)
	var homeless *Flow
	if !mine {
		homeless = d.seat(f)
		d.balance()
	}
	d.mu.Unlock()
	if homeless != nil {
		homeless.Close()
	}
	if !mine {
		return nil, errno.New(errno.TimedOut, "cannot accept a flow: none waits for %q", name)
	}
	return f, nil
}

// seat gives a flow to who waits for it, or keeps it; what it returns has no
// place. Callers hold mu.
func (d *door) seat(f *Flow) (homeless *Flow) {
	if g := d.guestFor(f); g != nil {
		g.got <- offer{flow: f}
		return nil
	}
	if d.closed || len(d.hall) >= strangers {
		return f
	}
	d.hall = append(d.hall, f)
	return nil
}

// wants reports whether who accepts for name takes the flow: a flow to a name
// that is listened to is for its listeners. Callers hold mu.
func (d *door) wants(name string, f *Flow) bool {
	if name == "" {
		return d.names[string(f.here)] == 0
	}
	return name == string(f.here)
}

func (d *door) remove(g *guest) {
	for i := range d.guests {
		if d.guests[i] == g {
			d.guests = append(d.guests[:i], d.guests[i+1:]...)
			return
		}
	}
}

// balance starts calls until there are as many as guests, or cancels some and
// gives those. Callers hold mu.
func (d *door) balance() (cancelled []*call) {
	for len(d.calls) < len(d.guests) {
		ctx, cancel := context.WithCancel(context.Background())
		k := &call{cancel, make(chan struct{})}
		d.calls[k] = struct{}{}
		d.running.Add(1)
		go func() {
			defer d.running.Done()
			defer cancel()
			g, err := d.client.backend.Accept(ctx)
			d.answer(k, g, err, ctx.Err() != nil)
			close(k.ended)
		}()
	}
	for k := range d.calls {
		if len(d.calls) <= len(d.guests) {
			break
		}
		delete(d.calls, k)
		k.cancel()
		cancelled = append(cancelled, k)
	}
	return cancelled
}

// answer hands over what a call brought. A call that was cancelled too late
// may still bring a flow.
func (d *door) answer(k *call, g *session.Grant, err error, cancelled bool) {
	var f *Flow
	if err == nil {
		f, err = d.client.adopt(g, true)
	}
	d.mu.Lock()
	delete(d.calls, k)
	var homeless *Flow
	switch {
	case err == nil:
		homeless = d.seat(f)
	case !cancelled && len(d.guests) > 0:
		g := d.guests[0]
		d.remove(g)
		g.got <- offer{err: err}
	}
	d.balance()
	d.mu.Unlock()
	if homeless != nil {
		homeless.Close()
	}
}

// guestFor takes the first guest who wants the flow off the list.
func (d *door) guestFor(f *Flow) *guest {
	for _, g := range d.guests {
		if d.wants(g.name, f) {
			d.remove(g)
			return g
		}
	}
	return nil
}

// listen registers a listener for a name.
func (d *door) listen(name string) (*Listener, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClientClosed
	}
	if name != "" {
		d.names[name]++
	}
	return &Listener{door: d, name: name, done: make(chan struct{})}, nil
}

// unlisten ends a listener. Flows that came for it and were not accepted go
// with the last one of the name.
func (d *door) unlisten(name string) {
	var left []*Flow
	d.mu.Lock()
	if name != "" {
		if d.names[name]--; d.names[name] <= 0 {
			delete(d.names, name)
			kept := d.hall[:0]
			for _, f := range d.hall {
				if string(f.here) == name {
					left = append(left, f)
				} else {
					kept = append(kept, f)
				}
			}
			d.hall = kept
		}
	}
	d.mu.Unlock()
	for _, f := range left {
		f.Close()
	}
}

// close ends all waiting accepts and waits for the calls.
func (d *door) close() {
	d.mu.Lock()
	d.closed = true
	for _, g := range d.guests {
		g.got <- offer{err: errno.New(errno.NotAlloc, "cannot accept a flow: this client was closed")}
	}
	d.guests, d.hall = nil, nil // the client closes the flows
	d.balance()
	d.mu.Unlock()
	d.running.Wait()
}
