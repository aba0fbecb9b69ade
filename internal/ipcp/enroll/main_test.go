package enroll_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/connmgr"
	"ouroboros/internal/ipcp/enroll"
	"ouroboros/internal/ipcp/ipcptest"
	"ouroboros/internal/leak"
	"ouroboros/internal/packet"
	"ouroboros/internal/wire/cep"
	"ouroboros/internal/wire/dt"
	wire "ouroboros/internal/wire/enroll"
	"ouroboros/irm"
	"ouroboros/qos"
)

func TestMain(m *testing.M) { leak.Main(m) }

// own is the address of the enroller.
const own dt.Addr = 0xd031e312

// member is an IPCP that others can enroll with.
type member struct {
	*connmgr.Switchboard
	enroller *enroll.Enroller
}

// enrolled makes a member of a layer.
func enrolled(t testing.TB, w *ipcptest.World, name string, config func() (*wire.Config, error)) *member {
	t.Helper()
	env := w.Env(name)
	m := &member{connmgr.New(env, connmgr.Options{}), enroll.NewEnroller(env, config)}
	m.Register(m.enroller)
	m.Start()
	t.Cleanup(m.Close)
	return m
}

func (m *member) counter(name string) uint64 {
	return m.enroller.Show().(map[string]any)[name].(uint64)
}

func (m *member) serving() int { return m.enroller.Show().(map[string]any)["serving"].(int) }

// layer gives what a member of a layer hands out.
func layer(t irm.IPCPType) func() (*wire.Config, error) {
	return func() (*wire.Config, error) { return enroll.ToWire(irm.NewConfig(t, "layer"), own), nil }
}

// joining is an IPCP that is in no layer.
type joining struct {
	*connmgr.Switchboard
	env ipcp.Env
}

func newcomer(t testing.TB, w *ipcptest.World, name string) *joining {
	t.Helper()
	env := w.Env(name)
	j := &joining{connmgr.New(env, connmgr.Options{}), env}
	t.Cleanup(j.Close)
	return j
}

// join enrolls and says that it worked.
func (j *joining) join(ctx context.Context, dst string, t irm.IPCPType) (*enroll.Result, error) {
	r, finish, err := enroll.Join(ctx, j.Switchboard, j.env.Log, dst, t, nil)
	if err == nil {
		finish(nil)
	}
	return r, err
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// other is a peer that speaks for itself.
type other struct {
	t   testing.TB
	env ipcp.Env
}

var hello = cep.Message{Component: "Enrollment", Protocol: "OEP", Version: 1}

// call connects to an enroller as a joiner does.
func (o other) call(dst string) *flow.Conn {
	o.t.Helper()
	f, err := o.env.Host.Alloc(within(o.t, time.Second), dst, qos.Raw)
	if err != nil {
		o.t.Fatal(err)
	}
	c := flow.NewConn(f, o.env.Go)
	say(c, put(hello))
	if b, err := recv(o.t.Context(), c, time.Second); err != nil || string(b) != string(put(hello)) {
		o.t.Errorf("answered with %x: %v", b, err)
	}
	return c
}

// serial is an enroller of the C implementation: one joiner at a time, no limit to
// its patience, and answer decides what a request is answered with; nil is
// nothing. It keeps what comes after the response, empty for the unreadable.
type serial struct {
	mu    sync.Mutex
	acks  []wire.Ack
	other int
}

func (o other) serve(answer func(r wire.Request) []byte) *serial {
	s := &serial{}
	conns := make(chan *flow.Conn, 64)
	o.env.Go(func() { // acceptor
		for {
			f, _, err := o.env.Host.Accept(o.env.Context)
			if err != nil {
				return
			}
			c := flow.NewConn(f, o.env.Go)
			b, err := recv(o.env.Context, c, time.Second)
			if _, bad := cep.Parse(b); err != nil || bad != nil {
				c.Close()
				continue
			}
			say(c, put(hello))
			conns <- c
		}
	})
	o.env.Go(func() {
		for {
			select {
			case c := <-conns:
				s.one(o, c, answer)
				c.Close()
			case <-o.env.Context.Done():
				return
			}
		}
	})
	return s
}

func (s *serial) one(o other, c *flow.Conn, answer func(r wire.Request) []byte) {
	b, err := recv(o.env.Context, c, time.Hour)
	if err != nil {
		return
	}
	r, err := wire.ParseRequest(b)
	if err != nil {
		return
	}
	if a := answer(r); a != nil {
		say(c, a)
	}
	if b, err = recv(o.env.Context, c, time.Hour); err != nil {
		return
	}
	ack, err := wire.ParseAck(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && ack.ID == r.ID {
		s.acks = append(s.acks, ack)
	} else {
		s.other++
	}
}

// take gives the acks that have come.
func (s *serial) take() []wire.Ack {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.acks
	s.acks = nil
	return a
}

type message interface {
	Size() int
	Put(b []byte)
}

func put(m message) []byte {
	b := make([]byte, m.Size())
	m.Put(b)
	return b
}

func say(c *flow.Conn, b []byte) { _ = c.Send(context.Background(), packet.From(b)) }

// recv waits for a packet that is not empty.
func recv(ctx context.Context, c *flow.Conn, wait time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	b, err := c.Recv(ctx)
	if err != nil {
		return nil, err
	}
	defer b.Release()
	return append([]byte{}, b.Bytes()...), nil
}
