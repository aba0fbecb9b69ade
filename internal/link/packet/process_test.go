package packet

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/netns"
	"ouroboros/internal/packet"
)

// The other processes of a measurement are this test binary again, in a role,
// inside a namespace. A role says "ready" or its figures on its standard
// output, and a server ends when its standard input does.
const roleEnv = "OUROBOROS_PACKET_TEST_ROLE"

// part is what a role is to do.
type part struct {
	Role     string // echo, ping, sink, flood
	Kind     string // udp, sleep, spin
	Local    string // address, of udp
	To       string // MAC, or address and port
	Size     int    // bytes behind the Ethernet header
	Rounds   int    // of a ping
	For      time.Duration
	Ring     int
	Straight bool // past the queue of the device
}

// figures are what a role found out.
type figures struct {
	P50, P99 float64 // us
	Frames   uint64
	Seconds  float64
	CPU      float64 // seconds
	Stats    string
}

const testType = 0xa000

func play(spec string) int {
	var p part
	err := json.Unmarshal([]byte(spec), &p)
	if err == nil {
		err = p.play()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (p part) play() error {
	switch p.Role {
	case "echo":
		if p.Kind == "udp" {
			return p.echoUDP()
		}
		return p.serve(func(l *Link) Handler { return echo{l} })
	case "sink":
		return p.serve(func(l *Link) Handler { return &tally{} })
	case "ping":
		if p.Kind == "udp" {
			return p.pingUDP()
		}
		return p.ping()
	case "flood":
		return p.flood()
	}
	return fmt.Errorf("no role %q", p.Role)
}

func (p part) open() (*Link, error) {
	l, err := Open(Config{Device: netns.Dev, Filter: Ethertype(testType), Ring: p.Ring})
	if err != nil {
		return nil, err
	}
	l.noSpin = p.Kind == "sleep"
	if p.Straight {
		err = unix.SetsockoptInt(l.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	}
	return l, err
}

func ready() { fmt.Println("ready") }

func say(f figures) error {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	f.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	return json.NewEncoder(os.Stdout).Encode(f)
}

// serve runs until the standard input ends.
func (p part) serve(h func(*Link) Handler) error {
	l, err := p.open()
	if err != nil {
		return err
	}
	handler := h(l)
	done := make(chan error, 1)
	go func() { done <- l.Serve(handler) }()
	ready()
	io.Copy(io.Discard, os.Stdin)
	f := figures{Stats: fmt.Sprintf("%+v", l.Stats())}
	if c, ok := handler.(*tally); ok {
		f.Frames = c.n.Load()
		f.Seconds = time.Duration(c.last.Load() - c.first.Load()).Seconds()
	}
	l.Close()
	if err := <-done; err != nil {
		return err
	}
	return say(f)
}

// frame is a frame of our ethertype with n bytes behind its header.
func frame(l *Link, to []byte, n int) *packet.Buffer {
	b := packet.Get(ethernetHeader + n)
	p := b.Bytes()
	copy(p, to)
	mac := l.MAC()
	copy(p[6:], mac[:])
	binary.BigEndian.PutUint16(p[12:], testType)
	return b
}

// echo sends back what it gets.
type echo struct{ l *Link }

func (e echo) Receive(frames []*packet.Buffer) {
	for _, b := range frames {
		p := b.Bytes()
		mac := e.l.MAC()
		copy(p, p[6:12])
		copy(p[6:], mac[:])
	}
	packet.ReleaseAll(frames[e.l.Send(frames):])
}

// tally counts.
type tally struct {
	n           atomic.Uint64
	first, last atomic.Int64 // when, in ns
}

func (c *tally) Receive(frames []*packet.Buffer) {
	now := time.Now().UnixNano()
	if c.n.Add(uint64(len(frames))) == uint64(len(frames)) {
		c.first.Store(now)
	}
	c.last.Store(now)
	packet.ReleaseAll(frames)
}

// pinger sends the next when the answer is there.
type pinger struct {
	p    part
	l    *Link
	to   net.HardwareAddr
	rtt  []time.Duration
	sent time.Time
	done chan struct{}
	one  [1]*packet.Buffer
}

func (c *pinger) send() {
	c.one[0] = frame(c.l, c.to, c.p.Size)
	c.sent = time.Now()
	c.l.Send(c.one[:])
}

func (c *pinger) Receive(frames []*packet.Buffer) {
	packet.ReleaseAll(frames)
	if len(c.rtt) == c.p.Rounds {
		return
	}
	if c.rtt = append(c.rtt, time.Since(c.sent)); len(c.rtt) == c.p.Rounds {
		close(c.done)
		return
	}
	c.send()
}

func (p part) ping() error {
	l, err := p.open()
	if err != nil {
		return err
	}
	to, err := net.ParseMAC(p.To)
	if err != nil {
		return err
	}
	c := &pinger{p: p, l: l, to: to, rtt: make([]time.Duration, 0, p.Rounds), done: make(chan struct{})}
	served := make(chan error, 1)
	c.send()
	go func() { served <- l.Serve(c) }()
	select {
	case <-c.done:
	case <-time.After(60 * time.Second):
		return fmt.Errorf("no end within a minute")
	}
	l.Close()
	<-served
	return say(quantiles(c.rtt))
}

func (p part) echoUDP() error {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(p.Local)))
	if err != nil {
		return err
	}
	ready()
	go func() { io.Copy(io.Discard, os.Stdin); c.Close() }()
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return say(figures{})
		}
		c.WriteToUDPAddrPort(buf[:n], from)
	}
}

func (p part) pingUDP() error {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(p.Local)))
	if err != nil {
		return err
	}
	to, buf, rtt := netip.MustParseAddrPort(p.To), make([]byte, 1<<16), make([]time.Duration, 0, p.Rounds)
	for range p.Rounds {
		begun := time.Now()
		if _, err := c.WriteToUDPAddrPort(buf[:p.Size], to); err != nil {
			return err
		}
		if _, _, err := c.ReadFromUDPAddrPort(buf); err != nil {
			return err
		}
		rtt = append(rtt, time.Since(begun))
	}
	return say(quantiles(rtt))
}

func quantiles(rtt []time.Duration) figures {
	slices.Sort(rtt)
	us := func(q float64) float64 { return float64(rtt[int(q*float64(len(rtt)-1))].Nanoseconds()) / 1000 }
	return figures{P50: us(.5), P99: us(.99), Frames: uint64(len(rtt))}
}

// flood sends as fast as it can.
func (p part) flood() error {
	l, err := p.open()
	if err != nil {
		return err
	}
	to, err := net.ParseMAC(p.To)
	if err != nil {
		return err
	}
	room := make(chan struct{}, 1)
	l.OnWritable(func() {
		select {
		case room <- struct{}{}:
		default:
		}
	})
	begun := time.Now()
	batch := make([]*packet.Buffer, 0, maxSend)
	for time.Since(begun) < p.For {
		for len(batch) < maxSend {
			batch = append(batch, frame(l, to, p.Size))
		}
		n := l.Send(batch)
		if left := copy(batch, batch[n:]); left > 0 {
			<-room
		}
		batch = batch[:maxSend-n]
	}
	st := l.Stats()
	f := figures{Frames: st.Sent, Seconds: time.Since(begun).Seconds(), Stats: fmt.Sprintf("%+v", st)}
	l.Close()
	return say(f)
}

// process is a role that runs.
type process struct {
	tb  testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err bytes.Buffer
}

func start(tb testing.TB, space *netns.Space, p part) *process {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	spec, _ := json.Marshal(p)
	r := &process{tb: tb, cmd: space.Command(tb.Context(), exe)}
	r.cmd.Env = append(os.Environ(), roleEnv+"="+string(spec))
	r.cmd.Stderr = &r.err
	r.in, _ = r.cmd.StdinPipe()
	out, _ := r.cmd.StdoutPipe()
	r.out = bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.in.Close(); r.cmd.Process.Signal(syscall.SIGKILL); r.cmd.Wait() })
	if p.Role == "echo" || p.Role == "sink" {
		if line, err := r.out.ReadString('\n'); strings.TrimSpace(line) != "ready" {
			r.cmd.Wait()
			tb.Fatalf("%s is not ready: %v %s", p.Role, err, r.err.String())
		}
	}
	return r
}

// result ends a server, and gives what a role says last.
func (r *process) result(end bool) (f figures) {
	r.tb.Helper()
	if end {
		r.in.Close()
	}
	if err := json.NewDecoder(r.out).Decode(&f); err != nil {
		r.cmd.Wait()
		r.tb.Fatalf("no result: %v: %s", err, r.err.String())
	}
	return f
}
