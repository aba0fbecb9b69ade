package main

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ouroboros"
	"ouroboros/internal/netns"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

var layers = flag.String("layers", "udp4,eth-dix,eth-llc,udp6", "layers to measure between two hosts")

// two are two hosts in one layer, joined by a cable or a relay.
type two struct {
	b           *bench
	layer       string
	here, there *netns.Space
	relay       *relay.Relay
	near, far   *host.Daemon
	client      *ouroboros.Client
	t           *life  // of the hosts
	inside      string // address of the far host in a tunnel; "" = that on the cable

	depth int // unicast layers on top
	top   int // pid of the far IPCP that names are registered with
}

// names that are resolved to the far host.
var names = []string{"echo", "sink", "close", "oping", "ocbr", "u1-far"}

// hosts runs f with two hosts in a layer, new ones each time. An impairment
// asks for a relay between them.
func (b *bench) hosts(layer string, i *relay.Impairment, f func(*two) error) error {
	return within(func(t *life) error {
		w := &two{b: b, layer: layer, t: t}
		if err := w.connect(t, i); err != nil {
			return err
		}
		w.near, w.far = host.StartAt(t, w.here, "--log-level", "warn"), host.StartAt(t, w.there, "--log-level", "warn")
		for _, n := range []struct {
			node  host.Node
			space *netns.Space
		}{{w.near, w.here}, {w.far, w.there}} {
			n.node.OK(t, "irm", bootstrap(layer, n.space)...)
		}
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
		return f(w)
	})
}

func (w *two) connect(t *life, i *relay.Impairment) error {
	w.here, w.there = netns.Empty(t), netns.Empty(t)
	if i == nil {
		if err := netns.Connect(w.here, w.there); err != nil {
			return err
		}
	} else {
		var err error
		if w.relay, err = relay.Connect(w.here, w.there, 1); err != nil {
			return err
		}
		t.Cleanup(func() { w.relay.Close() })
		w.relay.Impair(*i)
	}
	far := w.there.IPv4.Addr()
	if w.layer == "udp6" {
		far = w.there.IPv6.Addr()
	}
	hosts := map[string]netip.Addr{}
	for _, n := range names {
		sum := md5.Sum([]byte(n))
		hosts[hex.EncodeToString(sum[:])] = far
	}
	return errors.Join(w.here.Hosts(hosts), w.there.Hosts(hosts))
}

func bootstrap(layer string, s *netns.Space) []string {
	words := []string{"ipcp", "bootstrap", "name", "i1", "type", layer, "layer", "net"}
	switch layer {
	case "udp4":
		return append(words, "ip", s.IPv4.Addr().String())
	case "udp6":
		return append(words, "ip", s.IPv6.Addr().String())
	}
	return append(words, "dev", s.Dev)
}

// server runs a role on the far host, as the server of its name.
func (w *two) server(role string) (*child, error) {
	c, err := w.launch(role, "OUROBOROS_RUNTIME_DIR="+w.far.Dir)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if err := w.far.Irm.BindProcess(ctx, c.cmd.Process.Pid, role); err != nil {
		return nil, err
	}
	return c, w.far.Irm.RegName(ctx, role, w.top)
}

// launch runs a role on the far host.
func (w *two) launch(role string, env ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := w.there.Command(context.Background(), self)
	cmd.Env = env
	return w.b.launch(cmd, role)
}

// alloc allocates a flow to a role of the far host.
func (w *two) alloc(role string, spec *ouroboros.QoS) (*ouroboros.Flow, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return w.client.Alloc(ctx, role, spec)
}

// spent is the CPU time until now of the daemons, of this process, and of the
// far one.
func (w *two) spent(far *child) (all time.Duration, err error) {
	for _, pid := range []int{os.Getpid(), far.cmd.Process.Pid, w.near.Cmd.Process.Pid, w.far.Cmd.Process.Pid} {
		t, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		all += t
	}
	return all, nil
}

// iperf is what iperf3 says of one run.
type iperf struct {
	rate     float64 // bits per second that were received
	messages float64 // per second that were received; UDP
	lost     float64 // per cent; UDP
	cpu      float64 // CPU seconds of both ends for a gigabyte
}

// iperf3 runs it from here to there.
func (w *two) iperf3(args ...string) (iperf, error) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		return iperf{}, errors.New("the yardstick iperf3 is missing (package iperf3)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	addr := cmp.Or(w.inside, w.there.IPv4.Addr().String())
	server := w.there.Command(ctx, "iperf3", "-s", "-1", "-B", addr)
	if err := server.Start(); err != nil {
		return iperf{}, err
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	args = append([]string{"-c", addr, "-J", "-t", fmt.Sprintf("%.0f", max(1, *seconds))}, args...)
	var report struct {
		Error string
		End   struct {
			Sum struct {
				Seconds, Packets float64
				Lost             float64 `json:"lost_packets"`
				Bytes            float64
			}
			Received struct {
				Seconds, Bytes float64
			} `json:"sum_received"`
			CPU struct {
				Host   float64 `json:"host_total"`
				Remote float64 `json:"remote_total"`
			} `json:"cpu_utilization_percent"`
		}
	}
	var said []byte
	for try := 0; ; try++ {
		// It ends well, or not, when its server does not listen yet: what it
		// says counts.
		var err error
		said, err = w.here.Command(ctx, "iperf3", args...).Output()
		report.Error = ""
		if e := json.Unmarshal(said, &report); e != nil {
			return iperf{}, fmt.Errorf("iperf3 %s: %w: %w\n%s", strings.Join(args, " "), err, e, said)
		}
		if report.Error == "" && err == nil {
			break
		}
		if try == 100 {
			return iperf{}, fmt.Errorf("iperf3 %s: %w: %s", strings.Join(args, " "), err, report.Error)
		}
		time.Sleep(20 * time.Millisecond)
	}
	e := report.End
	var r iperf
	bytes, seconds := e.Received.Bytes, e.Received.Seconds
	if e.Sum.Packets > 0 {
		seconds = e.Sum.Seconds
		r.messages = (e.Sum.Packets - e.Sum.Lost) / seconds
		r.lost = 100 * e.Sum.Lost / e.Sum.Packets
		bytes = e.Sum.Bytes * (1 - e.Sum.Lost/e.Sum.Packets)
	}
	if seconds <= 0 || bytes <= 0 {
		return iperf{}, fmt.Errorf("iperf3 measured nothing: %s", said)
	}
	r.rate = 8 * bytes / seconds
	r.cpu = (e.CPU.Host + e.CPU.Remote) / 100 * seconds / (bytes / 1e9)
	return r, nil
}

// life is a testing.TB of this command: what the packages of tests make is
// undone at its end, and a failure ends it.
type life struct {
	testing.TB // nil: of its methods only those below are there
	ends       []func()
	failed     bool
}

// failure is what a life ends with before its time.
type failure struct{ err error }

// within runs f and undoes what was made in it.
func within(f func(*life) error) (err error) {
	l := &life{}
	defer func() {
		if r := recover(); r != nil {
			fail, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = fail.err
		}
		l.failed = err != nil
		for i := len(l.ends) - 1; i >= 0; i-- {
			l.ends[i]()
		}
	}()
	return f(l)
}

func (l *life) Helper()                   {}
func (l *life) Cleanup(f func())          { l.ends = append(l.ends, f) }
func (l *life) Failed() bool              { return l.failed }
func (l *life) Log(args ...any)           { fmt.Fprintln(os.Stderr, args...) }
func (l *life) Logf(f string, a ...any)   { fmt.Fprintf(os.Stderr, f+"\n", a...) }
func (l *life) Errorf(f string, a ...any) { l.Logf(f, a...) }

func (l *life) Fatal(args ...any) { panic(failure{cause(args)}) }
func (l *life) Fatalf(f string, a ...any) {
	panic(failure{fmt.Errorf(f, a...)})
}
func (l *life) Skip(args ...any) { panic(failure{cause(args)}) }

// cause keeps an error one.
func cause(args []any) error {
	if len(args) == 1 {
		if err, ok := args[0].(error); ok {
			return err
		}
	}
	return errors.New(strings.TrimSpace(fmt.Sprintln(args...)))
}
