package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"ouroboros/irm"
	"ouroboros/qos"
	"ouroboros/test/host"
)

// stack puts unicast layers on top until there are depth of them.
func (w *two) stack(depth int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for w.depth < depth {
		k := w.depth + 1
		layer, near, far := fmt.Sprintf("u%d", k), fmt.Sprintf("u%d-near", k), fmt.Sprintf("u%d-far", k)
		pid, err := w.far.Irm.CreateIPCP(ctx, far, irm.Unicast)
		if err != nil {
			return err
		}
		if _, err := w.far.Irm.BootstrapIPCP(ctx, pid, irm.NewConfig(irm.Unicast, layer)); err != nil {
			return err
		}
		if err := w.far.Irm.BindProcess(ctx, pid, far); err != nil {
			return err
		}
		if err := w.far.Irm.RegName(ctx, far, w.top); err != nil {
			return err
		}
		w.top = pid
		if pid, err = w.near.Irm.CreateIPCP(ctx, near, irm.Unicast); err != nil {
			return err
		}
		if _, err := w.near.Irm.EnrollIPCP(ctx, pid, far); err != nil {
			return err
		}
		for _, c := range []string{irm.Management, irm.DataTransfer} {
			if err := w.near.Irm.ConnectIPCP(ctx, pid, c, far, qos.Raw); err != nil {
				return err
			}
		}
		w.depth = k
	}
	return nil
}

// over is what flows over a number of unicast layers do.
type over struct {
	rtt           spread
	raw, reliable oneWay
}

func (w *two) over(depth int) (o over, err error) {
	if err = w.stack(depth); err != nil {
		return o, err
	}
	msg, buf := make([]byte, 64), make([]byte, 2048)
	if _, err = w.server("echo"); err != nil {
		return o, err
	}
	f, err := w.alloc("echo", nil)
	if err != nil {
		return o, err
	}
	f.SetReadTimeout(5 * time.Second)
	o.rtt, err = measure(roundTrips, func() error {
		if _, err := f.Write(msg); err != nil {
			return err
		}
		_, err := f.Read(buf)
		return err
	})
	f.Close()
	if err != nil {
		return o, err
	}
	if o.raw, err = w.sink(nil, stackedSize); err != nil {
		return o, err
	}
	w.b.endChildren() // the next flow goes to the next sink
	spec := qos.Data
	if o.reliable, err = w.sink(&spec, stackedSize); err != nil {
		return o, err
	}
	w.b.endChildren()
	return o, nil
}

// stackedSize leaves room for the headers of ten layers in a frame.
const stackedSize = 1300

// netLayers measures what a unicast layer costs on top of another layer, and
// what ten cost.
func (b *bench) netLayers() error {
	for _, layer := range chosen() {
		if layer != "udp4" && layer != "eth-dix" {
			continue
		}
		if err := b.hosts(layer, nil, (*two).layers); err != nil {
			return fmt.Errorf("%s: %w", layer, err)
		}
		w := &two{b: b, layer: layer}
		if err := w.beside("a unicast layer, round trip 64 B, mean", referencePing); err != nil {
			return err
		}
		if err := w.beside("a unicast layer, raw 1400 B received", referenceFlood); err != nil {
			return err
		}
	}
	return nil
}

func (w *two) layers() error {
	all := map[int]over{}
	for _, depth := range []int{0, 1, 2, 10} {
		o, err := w.over(depth)
		if err != nil {
			return fmt.Errorf("%d unicast layers: %w", depth, err)
		}
		all[depth] = o
		was, what := all[0], "without"
		goal := map[int]string{1: "at least 0.8 x", 2: "", 10: ""}[depth]
		if depth == 0 {
			continue
		}
		more := float64(o.rtt.p50-was.rtt.p50) / 1e3 / float64(depth)
		row(fmt.Sprintf("%s: %d unicast layers, round trip 64 B, median", w.layer, depth), us(o.rtt.p50), what+" "+us(was.rtt.p50),
			fmt.Sprintf("%.2f µs a layer", more), "at most 1.5 µs a layer")
		w.row(fmt.Sprintf("%d unicast layers, raw %d B received", depth, stackedSize), mbit(o.raw.rate), what+" "+mbit(was.raw.rate), o.raw.rate/was.raw.rate, goal)
		w.row(fmt.Sprintf("%d unicast layers, reliable %d B", depth, stackedSize), mbit(o.reliable.rate), what+" "+mbit(was.reliable.rate), o.reliable.rate/was.reliable.rate, goal)
		w.row(fmt.Sprintf("%d unicast layers, raw, CPU seconds a GB", depth), fmt.Sprintf("%.2f", o.raw.cpu), what+fmt.Sprintf(" %.2f", was.raw.cpu), o.raw.cpu/was.raw.cpu, "")
	}
	return nil
}

// referenceLayer puts a unicast layer of the C implementation on top, with a
// tool that serves its own name in it.
func referenceLayer(t *life, near, far *host.Reference, tool string, args ...string) (*host.Process, error) {
	far.Run(t, "irm", "ipcp", "bootstrap", "name", "u1-far", "type", "unicast", "layer", "u1", "autobind")
	far.Run(t, "irm", "name", "register", "u1-far", "layer", "net")
	near.Run(t, "irm", "ipcp", "enroll", "name", "u1-near", "layer", "u1", "dst", "u1-far")
	if r := near.Run(t, "irm", "ipcp", "connect", "name", "u1-near", "dst", "u1-far"); r.Code != 0 {
		return nil, fmt.Errorf("no connection: %s%s", r.Stdout, r.Stderr)
	}
	p := far.Go(t, nil, tool, append([]string{"--listen"}, args...)...)
	far.Bind(t, p, tool)
	far.OK(t, "irm", "name", "register", tool, "layer", "u1")
	return p, nil
}

func referencePing(t *life, near, far *host.Reference) (string, error) {
	if _, err := referenceLayer(t, near, far, "oping", "-Q"); err != nil {
		return "", err
	}
	out := near.Run(t, "oping", "-n", "oping", "-c", "20000", "-f", "-Q", "-s", "64")
	m := regexp.MustCompile(`rtt .* = [0-9.]+/([0-9.]+)/\S+ (\S+)`).FindStringSubmatch(out.Stdout)
	if m == nil {
		return "", fmt.Errorf("no figure in %q", out.Stdout+out.Stderr)
	}
	return m[1] + " " + m[2], nil
}

func referenceFlood(t *life, near, far *host.Reference) (string, error) {
	s, err := referenceLayer(t, near, far, "ocbr")
	if err != nil {
		return "", err
	}
	out := near.RunFor(t, 20*time.Second, "ocbr", "-n", "ocbr", "-f", "-d", "3", "-s", "1400")
	if !strings.Contains(out.Stdout+out.Stderr, "sent statistics") {
		return "", fmt.Errorf("%s%s", out.Stdout, out.Stderr)
	}
	host.Eventually(t, "its server has said something", func() bool { return s.Out.String() != "" })
	var best float64
	for _, m := range regexp.MustCompile(`=>\s*([0-9.]+) pps`).FindAllStringSubmatch(s.Out.String(), -1) {
		v, _ := strconv.ParseFloat(m[1], 64)
		best = max(best, v)
	}
	return fmt.Sprintf("%.0f thousand/s in its best second", best/1e3), nil
}
