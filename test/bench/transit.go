package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"ouroboros"
	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/ipcp/eth"
	"ouroboros/internal/ipcp/hash"
	"ouroboros/internal/netns"
	"ouroboros/internal/packet"
	"ouroboros/irm"
	"ouroboros/qos"
	"ouroboros/test/host"
)

// line3 are three hosts in a row, joined by cables: e0 here, e1 and e2 in the
// middle, e3 there.
type line3 struct {
	two
	middle *netns.Space
}

// inLine runs f with three hosts in a row. What is in the middle f decides.
func (b *bench) inLine(f func(*line3, *life) error) error {
	return within(func(t *life) error {
		w := &line3{two: two{b: b, layer: "eth-dix"}}
		w.here, w.middle, w.there = netns.Empty(t), netns.Empty(t), netns.Empty(t)
		for _, c := range []struct {
			a, b       *netns.Space
			devA, devB string
		}{{w.here, w.middle, "e0", "e1"}, {w.middle, w.there, "e2", "e3"}} {
			if err := errors.Join(netns.Join(c.a, c.devA, c.b, c.devB), c.a.Up(c.devA), c.b.Up(c.devB)); err != nil {
				return err
			}
		}
		w.near, w.far = host.StartAt(t, w.here, "--log-level", "warn"), host.StartAt(t, w.there, "--log-level", "warn")
		w.near.OK(t, "irm", "ipcp", "bootstrap", "name", "i0", "type", "eth-dix", "layer", "la", "dev", "e0")
		w.far.OK(t, "irm", "ipcp", "bootstrap", "name", "i3", "type", "eth-dix", "layer", "lb", "dev", "e3")
		ipcps, err := w.far.Irm.ListIPCPs(context.Background())
		if err != nil {
			return err
		}
		w.top = ipcps[0].PID
		if w.client, err = ouroboros.Open(w.near.Dir); err != nil {
			return err
		}
		defer w.client.Close()
		defer b.endChildren()
		return f(w, t)
	})
}

// passed is what a process in the middle did.
type passed struct {
	messages float64 // a second
	perCPU   float64 // a second of its CPU time
}

// through floods messages of 64 B through the process pid.
func (w *line3) through(pid int) (p passed, err error) {
	c, err := w.server("sink")
	if err != nil {
		return p, err
	}
	f, err := w.alloc("sink", nil)
	if err != nil {
		return p, err
	}
	defer f.Close()
	before, err := cpuTime(pid)
	if err != nil {
		return p, err
	}
	_, got, took, err := w.flood(c, f, 64)
	if err != nil {
		return p, err
	}
	after, err := cpuTime(pid)
	if err != nil {
		return p, err
	}
	return passed{got / took.Seconds(), got / (after - before).Seconds()}, nil
}

// netTransit measures a member in the middle of a unicast layer, and beside it
// a program that passes on what comes over one Ethernet layer to another: their
// own receiving and sending, and nothing in between.
func (b *bench) netTransit() error {
	var ours, yard passed
	if err := b.inLine(func(w *line3, t *life) (err error) {
		middle := host.StartAt(t, w.middle, "--log-level", "warn")
		steps := []struct {
			d     *host.Daemon
			words []string
		}{
			{middle, []string{"ipcp", "bootstrap", "name", "i1", "type", "eth-dix", "layer", "la", "dev", "e1"}},
			{middle, []string{"ipcp", "bootstrap", "name", "i2", "type", "eth-dix", "layer", "lb", "dev", "e2"}},
			{middle, []string{"ipcp", "bootstrap", "name", "m", "type", "unicast", "layer", "net", "autobind"}},
			{middle, []string{"name", "register", "m", "layer", "la", "layer", "lb"}},
			{w.near, []string{"ipcp", "enroll", "name", "n", "layer", "net", "dst", "m"}},
			{w.near, []string{"ipcp", "connect", "name", "n", "dst", "m"}},
			{w.far, []string{"ipcp", "enroll", "name", "f", "layer", "net", "dst", "m"}},
			{w.far, []string{"ipcp", "connect", "name", "f", "dst", "m"}},
		}
		for _, s := range steps {
			s.d.OK(t, "irm", s.words...)
		}
		ipcps, err := w.far.Irm.ListIPCPs(context.Background())
		if err != nil {
			return err
		}
		w.top = ipcps[0].PID // unicast comes before eth-dix
		ours, err = w.through(middle.Cmd.Process.Pid)
		return err
	}); err != nil {
		return err
	}
	if err := b.inLine(func(w *line3, t *life) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		c, err := b.launch(w.middle.Command(context.Background(), self), "eth-bridge")
		if err != nil {
			return err
		}
		yard, err = w.through(c.cmd.Process.Pid)
		return err
	}); err != nil {
		return err
	}
	show := func(p passed) string {
		return fmt.Sprintf("%.0f thousand/s of its CPU (%.0f thousand/s seen)", p.perCPU/1e3, p.messages/1e3)
	}
	row("a member in transit, 64 B, over eth-dix", show(ours), "only received and sent by eth-dix: "+show(yard),
		fmt.Sprintf("%.2f x", ours.perCPU/yard.perCPU), "500 thousand/s, at least 0.7 x")
	return nil
}

// ethBridge passes flows to the name sink from e1 on to e2.
func ethBridge() error {
	ctx := context.Background()
	var sides [2]*ipcp.Guard
	b := &bridge{}
	for i, dev := range []string{"e1", "e2"} {
		g, err := ipcp.Start(irm.EthDIX, eth.NewDIX, ipcp.Env{Identity: ipcp.Identity{PID: 4194305 + i, Name: dev}, Host: b}, nil)
		if err != nil {
			return err
		}
		defer g.Close()
		cfg := irm.NewConfig(irm.EthDIX, []string{"la", "lb"}[i])
		cfg.Eth.Device = dev
		if _, err := g.Bootstrap(ctx, cfg); err != nil {
			return err
		}
		sides[i] = g
	}
	b.out = sides[1]
	if err := sides[0].Reg(ctx, hash.Sum(irm.SHA3_256, "sink")); err != nil {
		return err
	}
	fmt.Println("ready")
	select {}
}

// bridge is the host of both sides.
type bridge struct{ out ipcp.IPCP }

// Arrive implements ipcp.Host: the flow is allocated on the other side.
func (b *bridge) Arrive(ctx context.Context, req *ipcp.Request) (ipcp.Offer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := b.out.AllocFlow(ctx, &ipcp.Request{Hash: req.Hash, QoS: req.QoS, Data: req.Data})
	if err != nil {
		return nil, err
	}
	return &bridged{r}, nil
}

// Alloc and Accept implement ipcp.Host: nobody asks.
func (b *bridge) Alloc(context.Context, string, qos.Spec) (flow.Flow, error) {
	return nil, errno.NotSup
}

func (b *bridge) Accept(ctx context.Context) (flow.Flow, qos.Spec, error) {
	<-ctx.Done()
	return nil, qos.Spec{}, ctx.Err()
}

// bridged is a flow on the other side, and the offer for one on this.
type bridged struct{ reply *ipcp.Reply }

func (o *bridged) Data() []byte { return o.reply.Data }
func (o *bridged) Fail(error)   { o.reply.Flow.Dealloc() }

func (o *bridged) Complete(f flow.Flow) {
	pass := func(to flow.Flow) flow.Funcs {
		return flow.Funcs{OnReceive: func(batch []*packet.Buffer) int {
			flow.SendOrDrop(to, batch)
			return len(batch)
		}}
	}
	f.Attach(pass(o.reply.Flow))
	o.reply.Flow.Attach(pass(f))
}
