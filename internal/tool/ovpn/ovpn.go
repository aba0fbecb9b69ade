// Package ovpn is the tool ovpn, which carries IP over a flow: each message is
// one IP packet as a TUN device gives it, in both directions, with no framing.
//
//	IP ── TUN device ── ovpn ══ flow ══ ovpn ── TUN device ── IP
package ovpn

import (
	"context"
	"errors"
	"io/fs"

	"ouroboros"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/tun"
)

type tool struct {
	Options
	env console.Env
	out *console.Output
	dev *tun.Device
}

// Main is the tool.
func Main(ctx context.Context, words []string, env console.Env) int {
	t := &tool{env: env}
	set := t.commandLine()
	if code, ok := env.Parse("ovpn", set, words); !ok {
		return code
	}
	if err := t.finish(); err != nil {
		return env.Mistake(set, err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t.out = console.NewOutput(env.Stdout, stop)
	node := env.Connect()
	if node == nil {
		return 1
	}
	defer node.Close()
	if !t.open() {
		return 1
	}
	defer t.dev.Close()
	if t.Name == "" {
		return t.server(ctx, node)
	}
	return t.client(ctx, node)
}

// open gets the device ready before anybody waits for it.
func (t *tool) open() bool {
	dev, err := tun.Open(t.Device)
	if err != nil {
		t.env.Fail("Failed to open tunnel device.", err)
		return false
	}
	t.dev = dev
	if t.Addr.IsValid() {
		err = dev.Up(t.Addr)
	}
	if err == nil && t.MTU != 0 {
		err = dev.SetMTU(int(t.MTU))
	}
	if err != nil {
		dev.Close()
		t.env.Fail("Failed to set up tunnel device.", err)
		return false
	}
	t.say(event{Event: "device", Device: dev.Name()}, "Tunnel device name is %s.\n", dev.Name())
	return true
}

// event is what happens, for programs.
type event struct {
	Tool   string  `json:"tool"`
	Event  string  `json:"event"` // device, waiting, allocating, flow, end
	Device string  `json:"device,omitempty"`
	Name   string  `json:"name,omitempty"`
	Flow   int     `json:"flow,omitempty"`
	MTU    int     `json:"mtu,omitempty"`
	Why    string  `json:"why,omitempty"`
	Totals *Totals `json:"totals,omitempty"`
}

func (t *tool) say(e event, format string, words ...any) {
	e.Tool = "ovpn"
	if t.JSON {
		t.out.JSON(e)
		return
	}
	t.out.Printf(format, words...)
}

func (t *tool) client(ctx context.Context, node *ouroboros.Client) int {
	t.say(event{Event: "allocating", Name: t.Name}, "Allocating a flow to %s.\n", t.Name)
	flow, err := node.Alloc(ctx, t.Name, &t.QoS)
	if err != nil {
		if ctx.Err() != nil {
			return t.shutDown()
		}
		t.env.Fail("Failed to allocate flow.", err)
		return 1
	}
	err = t.carry(ctx, flow)
	if ctx.Err() != nil {
		return t.shutDown()
	}
	t.env.Fail("The tunnel has ended.", err)
	return 1
}

// server serves one client after the other: there is one device.
func (t *tool) server(ctx context.Context, node *ouroboros.Client) int {
	for {
		t.say(event{Event: "waiting"}, "Waiting for a new flow...\n")
		flow, err := node.Accept(ctx)
		switch {
		case ctx.Err() != nil:
			return t.shutDown()
		case errors.Is(err, ouroboros.ErrIRMd), errors.Is(err, ouroboros.ErrNotAlloc):
			return t.env.Ended(err)
		case err != nil:
			t.env.Fail("Failed to accept flow.", err)
			continue
		}
		err = t.carry(ctx, flow)
		if ctx.Err() != nil {
			return t.shutDown()
		}
		if errors.Is(err, fs.ErrClosed) || errors.Is(err, errDevice) {
			t.env.Fail("The tunnel device is gone.", err)
			return 1
		}
	}
}

func (t *tool) shutDown() int {
	t.say(event{Event: "end", Why: "interrupted"}, "Shutting down...\n")
	return 0
}
