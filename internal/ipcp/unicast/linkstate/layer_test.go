package linkstate

import (
	"sync"
	"testing"

	"ouroboros/internal/flow"
	wire "ouroboros/internal/wire/dt"
)

func wireAddr(i int) wire.Addr { return wire.Addr(i) }

// party is a member of a layer, ours or a model of another.
type party interface {
	address() wire.Addr
	attach(f flow.Flow, peer wire.Addr)
	Up(nb wire.Addr, mtu int)
	Down(nb wire.Addr)
	next(dst wire.Addr) []wire.Addr
}

func (m *member) address() wire.Addr { return m.cfg.Own }
func (m *member) attach(f flow.Flow, peer wire.Addr) {
	if _, err := m.connect(f, peer); err != nil {
		panic(err)
	}
}

// cable joins two parties by a Management connection.
func cable(t testing.TB, a, b party, o ...flow.PipeOptions) (fa, fb *flow.Pipe) {
	var options flow.PipeOptions
	if len(o) > 0 {
		options = o[0]
	}
	fa, fb = flow.NewPipe(options)
	a.attach(fa, b.address())
	b.attach(fb, a.address())
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { fa.Dealloc(); fb.Dealloc() }) })
	return fa, fb
}
