package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"ouroboros"
	"ouroboros/qos"
	"ouroboros/test/host"
	"ouroboros/test/relay"
)

func chosen() []string { return strings.Split(*layers, ",") }

// udpEcho returns datagrams.
func udpEcho(addr string) error {
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	fmt.Println("ready", c.LocalAddr())
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		if _, err := c.WriteTo(buf[:n], from); err != nil {
			return err
		}
	}
}

const roundTrips = 20_000

func (b *bench) netRTT() error {
	for _, layer := range chosen() {
		if err := b.hosts(layer, nil, (*two).rtt); err != nil {
			return fmt.Errorf("%s: %w", layer, err)
		}
	}
	return nil
}

func (w *two) rtt() error {
	msg, buf := make([]byte, 64), make([]byte, 2048)
	if _, err := w.server("echo"); err != nil {
		return err
	}
	f, err := w.alloc("echo", nil)
	if err != nil {
		return err
	}
	defer f.Close()
	f.SetReadTimeout(5 * time.Second)
	ours, err := measure(roundTrips, func() error {
		if _, err := f.Write(msg); err != nil {
			return err
		}
		_, err := f.Read(buf)
		return err
	})
	if err != nil {
		return err
	}
	const port = "7007"
	addr := net.JoinHostPort(w.there.IPv4.Addr().String(), port)
	if _, err := w.launch("udp-echo", "OUROBOROS_BENCH_ADDR="+addr); err != nil {
		return err
	}
	var c net.Conn
	if err := w.here.Do(func() (err error) { c, err = net.Dial("udp", addr); return err }); err != nil {
		return err
	}
	defer c.Close()
	yard, err := measure(roundTrips, func() error {
		if _, err := c.Write(msg); err != nil {
			return err
		}
		_, err := c.Read(buf)
		return err
	})
	if err != nil {
		return err
	}
	w.row("round trip 64 B, median", us(ours.p50), "kernel UDP "+us(yard.p50), float64(ours.p50)/float64(yard.p50), "at most 2.5 x")
	w.row("round trip 64 B, p99", us(ours.p99), "kernel UDP "+us(yard.p99), float64(ours.p99)/float64(yard.p99), "")
	return w.beside("round trip 64 B, mean", func(t *life, near, far *host.Reference) (string, error) {
		serveReference(t, far, "oping", "-Q")
		out := near.Run(t, "oping", "-n", "oping", "-c", "20000", "-f", "-Q", "-s", "64")
		m := regexp.MustCompile(`rtt .* = [0-9.]+/([0-9.]+)/\S+ (\S+)`).FindStringSubmatch(out.Stdout)
		if m == nil {
			return "", fmt.Errorf("no figure in %q", out.Stdout+out.Stderr)
		}
		return m[1] + " " + m[2], nil
	})
}

func (w *two) row(what, ours, yard string, ratio float64, goal string) {
	row(w.layer+": "+what, ours, yard, fmt.Sprintf("%.2f x", ratio), goal)
}

// beside prints what the C implementation does in the place of ours.
func (w *two) beside(what string, f func(t *life, near, far *host.Reference) (string, error)) error {
	if !host.HasReference() {
		return nil
	}
	var figure string
	err := within(func(t *life) error {
		fresh := &two{b: w.b, layer: w.layer}
		if err := fresh.connect(t, nil); err != nil {
			return err
		}
		far, near := host.StartReference(t, fresh.there), host.StartReference(t, fresh.here)
		far.OK(t, "irm", bootstrap(w.layer, fresh.there)...)
		near.OK(t, "irm", bootstrap(w.layer, fresh.here)...)
		for _, n := range names {
			near.OK(t, "irm", "name", "create", n)
		}
		var err error
		for range 3 { // it loses some answers
			if figure, err = f(t, near, far); err == nil {
				return nil
			}
		}
		return err
	})
	if err != nil {
		figure = "failed: " + strings.Join(strings.Fields(err.Error()), " ")
	}
	row(w.layer+": "+what+", the C implementation", figure, "", "", "")
	return nil
}

func serveReference(t *life, far *host.Reference, tool string, args ...string) *host.Process {
	p := far.Go(t, nil, tool, append([]string{"--listen"}, args...)...)
	far.Bind(t, p, tool)
	far.OK(t, "irm", "name", "register", tool, "layer", "net")
	return p
}

// flood writes messages for the time of a measurement, and gives what the role
// sink says that it got.
func (w *two) flood(c *child, f *ouroboros.Flow, size int) (sent, got float64, took time.Duration, err error) {
	msg := make([]byte, size)
	for i := range msg {
		msg[i] = byte(i) | 1
	}
	f.SetWriteTimeout(20 * time.Second)
	begin := time.Now()
	end := begin.Add(time.Duration(*seconds * float64(time.Second)))
	for time.Now().Before(end) {
		for range 16 {
			if _, err := f.Write(msg); err != nil {
				return 0, 0, 0, err
			}
			sent++
		}
	}
	// The end can be lost, so it is said until it was heard.
	heard := make(chan struct{})
	var line string
	var told error
	go func() {
		defer close(heard)
		line, told = c.line()
	}()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	limit := time.After(time.Minute)
	for done := false; !done; {
		if _, err := f.Write(make([]byte, 8)); err != nil {
			return 0, 0, 0, err
		}
		select {
		case <-heard:
			done = true
		case <-again.C:
		case <-limit:
			return 0, 0, 0, errors.New("the sink did not hear the end within a minute")
		}
		if f.QoS().InOrder && !done {
			select {
			case <-heard:
				done = true
			case <-limit:
				return 0, 0, 0, errors.New("the sink did not hear the end within a minute")
			}
		}
	}
	took = time.Since(begin)
	if told != nil {
		return 0, 0, 0, told
	}
	var bytes float64
	if _, err := fmt.Sscan(line, &got, &bytes); err != nil {
		return 0, 0, 0, fmt.Errorf("%q: %w", line, err)
	}
	return sent, got, took, nil
}

// sink floods a new flow to the role sink.
func (w *two) sink(spec *ouroboros.QoS, size int) (r oneWay, err error) {
	c, err := w.server("sink")
	if err != nil {
		return r, err
	}
	f, err := w.alloc("sink", spec)
	if err != nil {
		return r, err
	}
	defer f.Close()
	before, err := w.spent(c)
	if err != nil {
		return r, err
	}
	sent, got, took, err := w.flood(c, f, size)
	if err != nil {
		return r, err
	}
	after, err := w.spent(c)
	if err != nil {
		return r, err
	}
	r.messages = got / took.Seconds()
	r.rate = r.messages * float64(size) * 8
	r.lost = 100 * (1 - got/sent)
	r.cpu = (after - before).Seconds() / (got * float64(size) / 1e9)
	return r, nil
}

// oneWay is what a flood of messages did, a second.
type oneWay iperf

func mbit(bits float64) string {
	if bits > 1e9 {
		return fmt.Sprintf("%.2f Gbit/s", bits/1e9)
	}
	return fmt.Sprintf("%.1f Mbit/s", bits/1e6)
}

const size = 1400

func (b *bench) netOneWay() error {
	goals := map[string]string{"udp4": "at least 2 x", "eth-dix": "at least 1.3 x"}
	for _, layer := range chosen() {
		if err := b.hosts(layer, nil, func(w *two) error {
			ours, err := w.sink(nil, size)
			if err != nil {
				return err
			}
			yard, err := w.iperf3("-u", "-b", "0", "-l", strconv.Itoa(size))
			if err != nil {
				return err
			}
			show := func(messages, bits float64) string {
				return fmt.Sprintf("%.0f thousand/s, %s", messages/1e3, mbit(bits))
			}
			w.row("raw 1400 B received", show(ours.messages, ours.rate), "iperf3 UDP "+show(yard.messages, yard.rate), ours.messages/yard.messages, goals[layer])
			row(layer+": raw 1400 B, lost", fmt.Sprintf("%.3f %%", ours.lost), fmt.Sprintf("iperf3 UDP %.3f %%", yard.lost), "", "")
			w.row("raw 1400 B, CPU seconds a GB", fmt.Sprintf("%.2f", ours.cpu), fmt.Sprintf("iperf3 UDP %.2f", yard.cpu), ours.cpu/yard.cpu, "")
			if err := w.beside("raw 1400 B received", cbr); err != nil {
				return err
			}
			return w.line()
		}); err != nil {
			return fmt.Errorf("%s: %w", layer, err)
		}
	}
	return nil
}

// line floods a line of 1 Gbit/s, which the interface of the sender plays with
// a queue of 1000 packets: the sender is held back on its own host, as it is by
// a network card.
func (w *two) line() error {
	shape := []string{"qdisc", "add", "dev", w.here.Dev, "root", "tbf", "rate", "1gbit", "burst", "256kb", "limit", "1500000"}
	if out, err := w.here.Command(context.Background(), "tc", shape...).CombinedOutput(); err != nil {
		return fmt.Errorf("tc %s: %w\n%s", strings.Join(shape, " "), err, out)
	}
	defer w.here.Command(context.Background(), "tc", "qdisc", "del", "dev", w.here.Dev, "root").Run()
	ours, err := w.sink(nil, size)
	if err != nil {
		return err
	}
	yard, err := w.iperf3("-u", "-b", "0", "-l", strconv.Itoa(size))
	if err != nil {
		return err
	}
	row(w.layer+": raw 1400 B on a line of 1 Gbit/s, lost", fmt.Sprintf("%.3f %% at %s", ours.lost, mbit(ours.rate)),
		fmt.Sprintf("iperf3 UDP %.3f %% at %s", yard.lost, mbit(yard.rate)), "", "below 0.1 %")
	return nil
}

// cbr floods with the tool of the C implementation.
func cbr(t *life, near, far *host.Reference) (string, error) {
	s := serveReference(t, far, "ocbr")
	out := near.Run(t, "ocbr", "-n", "ocbr", "-f", "-d", "3", "-s", strconv.Itoa(size))
	if !strings.Contains(out.Stdout+out.Stderr, "sent statistics") {
		return "", fmt.Errorf("%s%s", out.Stdout, out.Stderr)
	}
	host.Eventually(t, "its server is done", func() bool { return strings.Contains(s.Out.String(), "timed out") })
	var best float64
	for _, m := range regexp.MustCompile(`=>\s*([0-9.]+) pps`).FindAllStringSubmatch(s.Out.String(), -1) {
		v, _ := strconv.ParseFloat(m[1], 64)
		best = max(best, v)
	}
	return fmt.Sprintf("%.0f thousand/s in its best second", best/1e3), nil
}

func (b *bench) netReliable() error {
	goals := map[string]string{"udp4": "at least 0.5 x", "eth-dix": "at least 0.5 x"}
	for _, layer := range chosen() {
		if err := b.hosts(layer, nil, func(w *two) error {
			spec := qos.Data
			ours, err := w.sink(&spec, size)
			if err != nil {
				return err
			}
			with, err := w.iperf3()
			if err != nil {
				return err
			}
			if err := errors.Join(w.here.Offloads(w.here.Dev, false), w.there.Offloads(w.there.Dev, false)); err != nil {
				return err
			}
			yard, err := w.iperf3()
			if err != nil {
				return err
			}
			w.row("reliable 1400 B", mbit(ours.rate), "TCP without offloads "+mbit(yard.rate)+", with "+mbit(with.rate), ours.rate/yard.rate, goals[layer])
			w.row("reliable 1400 B, CPU seconds a GB", fmt.Sprintf("%.2f", ours.cpu), fmt.Sprintf("TCP without offloads %.2f, with %.2f", yard.cpu, with.cpu), ours.cpu/yard.cpu, "")
			return nil
		}); err != nil {
			return fmt.Errorf("%s: %w", layer, err)
		}
	}
	return nil
}

func (b *bench) netLossy() error {
	const goal = "at least 0.8 x"
	for _, layer := range chosen() {
		bad := &relay.Impairment{Loss: 0.01, Delay: 10 * time.Millisecond}
		if err := b.hosts(layer, bad, func(w *two) error {
			spec := qos.Data
			ours, err := w.sink(&spec, size)
			if err != nil {
				return err
			}
			// The kernel's choice is what counts; the other is for comparison, as
			// it takes each loss for congestion.
			control, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
			if err != nil {
				return err
			}
			yard, err := w.iperf3()
			if err != nil {
				return err
			}
			reno, err := w.iperf3("-C", "reno")
			if err != nil {
				return err
			}
			w.row("reliable 1400 B, 1 % lost, 20 ms round trip", mbit(ours.rate),
				fmt.Sprintf("TCP %s (%s), %s (reno)", mbit(yard.rate), strings.TrimSpace(string(control)), mbit(reno.rate)), ours.rate/yard.rate, goal)
			return nil
		}); err != nil {
			return fmt.Errorf("%s: %w", layer, err)
		}
	}
	return nil
}

func (b *bench) netAlloc() error {
	for _, layer := range chosen() {
		if err := b.hosts(layer, nil, (*two).allocations); err != nil {
			return fmt.Errorf("%s: %w", layer, err)
		}
	}
	return nil
}

func (w *two) allocations() error {
	if _, err := w.server("close"); err != nil {
		return err
	}
	// The server ends its flow when the word for that comes.
	over := binary.BigEndian.AppendUint64(nil, 1)
	once := func() error {
		f, err := w.alloc("close", nil)
		if err != nil {
			return err
		}
		if _, err := f.Write(over); err != nil {
			return err
		}
		return f.Dealloc()
	}
	n := 2000
	if w.layer == "eth-llc" {
		n = 50 // it has 62 endpoints
	}
	begin := time.Now()
	s, err := measure(n, once)
	if err != nil {
		return err
	}
	row(w.layer+": allocate and deallocate, one after the other: rate, median, p99",
		fmt.Sprintf("%.0f/s, %s, %s", float64(n)*1.1/time.Since(begin).Seconds(), us(s.p50), us(s.p99)), "", "", "at least 1,000/s")
	if w.layer == "eth-llc" {
		return nil
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed []error
	begin = time.Now()
	for range 200 {
		wg.Go(func() {
			if err := once(); err != nil {
				mu.Lock()
				failed = append(failed, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	said := fmt.Sprintf("all in %v", took.Round(10*time.Microsecond))
	if len(failed) > 0 {
		said = fmt.Sprintf("%d failed, the first: %v", len(failed), failed[0])
	}
	row(w.layer+": 200 allocations in parallel", said, "", "", "all succeed")
	return nil
}
