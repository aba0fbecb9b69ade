package frcp

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"ouroboros/internal/wire/frcp"
	"ouroboros/qos"
)

// Times of delta-t. They are those of the other implementation, which cannot be
// told other ones.
const (
	maxAckDelay   = 10 * time.Second  // A: what is not acknowledged after it is not acknowledged later either
	maxRetransmit = 120 * time.Second // R: a packet is sent again no later than this after the first time
)

// Bounds of what the peer can make us keep.
const (
	startWindow = 64      // packets that a sender may send before it knows the window
	maxWindow   = 1 << 14 // packets; far below 2^23, so that 24 bits of an edge are enough
)

// Config says how a machine works. Only QoS must be set.
type Config struct {
	QoS qos.Spec // InOrder; with Loss 0 the flow retransmits

	// MPL is the maximum packet lifetime of the layer; 0 = 100 ms.
	MPL time.Duration

	// Window is the number of packets, and WindowBytes of bytes, that are kept
	// for a handler that does not take them; the peer is told of no more.
	// 0 = 8192 packets, 16 MiB. At 1 % loss a flow needs four times what is on
	// the way: a gap is filled a round trip later, and some that were sent again
	// are lost again.
	Window      int
	WindowBytes int

	// Queue is the number of packets that Send takes beyond what may be on the
	// way, SendBytes the bytes of both together. 0 = 512 packets, 16 MiB.
	Queue     int
	SendBytes int

	// ISN chooses the first sequence number; nil = at random.
	ISN func() frcp.Seq

	// AfterFunc and Spawn start timers and the rare goroutine; nil =
	// time.AfterFunc and go.
	AfterFunc func(d time.Duration, f func()) *time.Timer
	Spawn     func(f func())

	Log      *slog.Logger // nil = none
	Counters *Counters    // may be shared by many flows; nil = own
}

func (c Config) withDefaults() Config {
	number := func(n *int, def, most int) {
		if *n <= 0 {
			*n = def
		}
		*n = min(*n, most)
	}
	number(&c.Window, 8192, maxWindow)
	number(&c.WindowBytes, 16<<20, 1<<30)
	number(&c.Queue, 512, maxWindow)
	number(&c.SendBytes, 16<<20, 1<<30)
	if c.MPL <= 0 {
		c.MPL = 100 * time.Millisecond
	}
	if c.ISN == nil {
		c.ISN = func() frcp.Seq { return frcp.Seq(rand.Uint32()) }
	}
	if c.AfterFunc == nil {
		c.AfterFunc = time.AfterFunc
	}
	if c.Spawn == nil {
		c.Spawn = func(f func()) { go f() }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	}
	if c.Counters == nil {
		c.Counters = new(Counters)
	}
	return c
}

// inactivity is how long after the last data a receiver keeps to the run it
// has: whole seconds, as the comparison of the other implementation is.
func (c *Config) inactivity() time.Duration {
	return (2*c.MPL + maxAckDelay + maxRetransmit).Truncate(time.Second) + time.Second
}

// The flags that an application may change, with the numbers of its interface.
const (
	flagResControl = 2 // obey the peer's window
	flagLinger     = 4 // Dealloc goes on until all is acknowledged
)
