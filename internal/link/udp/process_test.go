package udp

import (
	"bufio"
	"bytes"
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
const roleEnv = "OUROBOROS_UDP_TEST_ROLE"

// part is what a role is to do.
type part struct {
	Role   string // echo, ping, sink, flood
	Kind   string // sleep, spin, poller, net
	Local  string
	To     string
	Size   int
	Rounds int           // of a ping
	For    time.Duration // of a flood
	Plain  bool          // without offloads
}

// figures are what a role found out.
type figures struct {
	P50, P99  float64 // us
	Datagrams uint64
	Seconds   float64
	CPU       float64 // seconds
	Stats     string
}

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
		if p.Kind == "net" {
			return p.echoNet()
		}
		return p.serve(func(s *Socket) Handler { return echo{s} })
	case "sink":
		return p.serve(func(s *Socket) Handler { return &counter{} })
	case "ping":
		if p.Kind == "net" {
			return p.pingNet()
		}
		return p.ping()
	case "flood":
		return p.flood()
	}
	return fmt.Errorf("no role %q", p.Role)
}

func (p part) open() (*Socket, error) {
	return Open(Config{Local: netip.MustParseAddrPort(p.Local), NoOffload: p.Plain})
}

// run reads in the way that is measured.
func (p part) run(s *Socket, h Handler) error {
	switch p.Kind {
	case "poller":
		return servePoller(s, h)
	case "sleep":
		s.noSpin = true
	}
	return s.Serve(h)
}

// servePoller reads on the runtime's poller instead of a blocked thread.
func servePoller(s *Socket, h Handler) error {
	fd, err := unix.Dup(s.fd)
	if err != nil {
		return err
	}
	unix.SetNonblock(fd, true)
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	r := newReceiver(s, h)
	return conn.Read(func(uintptr) bool {
		for {
			if _, err := r.receive(false); err == unix.ESHUTDOWN {
				return true
			} else if err != 0 {
				return false
			}
		}
	})
}

func ready() { fmt.Println("ready") }

func say(f figures) error {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	f.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	return json.NewEncoder(os.Stdout).Encode(f)
}

// serve runs until the standard input ends.
func (p part) serve(h func(*Socket) Handler) error {
	s, err := p.open()
	if err != nil {
		return err
	}
	handler := h(s)
	done := make(chan error, 1)
	go func() { done <- p.run(s, handler) }()
	ready()
	io.Copy(io.Discard, os.Stdin)
	f := figures{Stats: fmt.Sprintf("%+v", s.Stats())}
	if c, ok := handler.(*counter); ok {
		f.Datagrams = c.n.Load()
		f.Seconds = time.Duration(c.last.Load() - c.first.Load()).Seconds()
	}
	s.Close()
	if err := <-done; err != nil {
		return err
	}
	return say(f)
}

type echo struct{ s *Socket }

func (e echo) Receive(from netip.AddrPort, batch []*packet.Buffer) {
	packet.ReleaseAll(batch[e.s.Send(from, batch):])
}

type counter struct {
	n           atomic.Uint64
	first, last atomic.Int64 // when, in ns
}

func (c *counter) Receive(_ netip.AddrPort, batch []*packet.Buffer) {
	now := time.Now().UnixNano()
	if c.n.Add(uint64(len(batch))) == uint64(len(batch)) {
		c.first.Store(now)
	}
	c.last.Store(now)
	packet.ReleaseAll(batch)
}

func (p part) echoNet() error {
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

// pinger sends the next when the answer is there.
type pinger struct {
	p    part
	s    *Socket
	to   netip.AddrPort
	rtt  []time.Duration
	sent time.Time
	done chan struct{}
	one  [1]*packet.Buffer
}

func (c *pinger) send() {
	c.one[0] = packet.Get(c.p.Size)
	c.sent = time.Now()
	c.s.Send(c.to, c.one[:])
}

func (c *pinger) Receive(_ netip.AddrPort, batch []*packet.Buffer) {
	packet.ReleaseAll(batch)
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
	s, err := p.open()
	if err != nil {
		return err
	}
	c := &pinger{p: p, s: s, to: netip.MustParseAddrPort(p.To), rtt: make([]time.Duration, 0, p.Rounds), done: make(chan struct{})}
	served := make(chan error, 1)
	c.send()
	go func() { served <- p.run(s, c) }()
	select {
	case <-c.done:
	case <-time.After(60 * time.Second):
		return fmt.Errorf("only %d rounds in a minute", len(c.rtt))
	}
	s.Close()
	<-served
	return say(quantiles(c.rtt))
}

func (p part) pingNet() error {
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
	return figures{P50: us(.5), P99: us(.99), Datagrams: uint64(len(rtt))}
}

// flood sends as fast as it can.
func (p part) flood() error {
	s, err := p.open()
	if err != nil {
		return err
	}
	room := make(chan struct{}, 1)
	s.OnWritable(func() {
		select {
		case room <- struct{}{}:
		default:
		}
	})
	to := netip.MustParseAddrPort(p.To)
	begun := time.Now()
	batch := make([]*packet.Buffer, 0, maxDeliver)
	for time.Since(begun) < p.For {
		for len(batch) < maxDeliver {
			batch = append(batch, packet.Get(p.Size))
		}
		n := s.Send(to, batch)
		if left := copy(batch, batch[n:]); left > 0 {
			<-room
		}
		batch = batch[:maxDeliver-n]
	}
	st := s.Stats()
	f := figures{Datagrams: st.Sent, Seconds: time.Since(begun).Seconds(), Stats: fmt.Sprintf("%+v", st)}
	s.Close()
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
