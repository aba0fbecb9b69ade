// Command bench measures one host: flows between two processes through a real
// daemon, and beside each figure what a Unix SEQPACKET socket pair between two
// processes does in the same run, written as tightly (blocking descriptors,
// one system call a message). And it measures two hosts: namespaces joined by a
// cable, a daemon in each, and beside each figure what the kernel's own
// protocols do on the same cable.
//
//	go run ./test/bench              all of it, as a Markdown table
//	go run ./test/bench rtt oneway   some of it
//	go run ./test/bench net          what two hosts do
//	go run ./test/bench -layers udp4 net-rtt
//	go run ./test/bench -seconds 5   longer
//
// Two hosts take root. With OUROBOROS_REFERENCE, the directory that the C
// implementation is installed in, its figures stand beside.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros"
	"ouroboros/internal/netns"
	"ouroboros/irm"
	"ouroboros/test/host"
)

var seconds = flag.Float64("seconds", 2, "length of each one-way measurement")

var parts = []struct {
	word string
	run  func(*bench) error
}{
	{"rtt", (*bench).rtt},
	{"oneway", (*bench).oneWay},
	{"alloc", (*bench).alloc},
	{"many", (*bench).many},
	{"idle", (*bench).idle},
	{"autostart", (*bench).autostart},
	{"net-rtt", (*bench).netRTT},
	{"net-oneway", (*bench).netOneWay},
	{"net-reliable", (*bench).netReliable},
	{"net-lossy", (*bench).netLossy},
	{"net-alloc", (*bench).netAlloc},
	{"net-layers", (*bench).netLayers},
	{"net-transit", (*bench).netTransit},
	{"net-sealed", (*bench).netSealed},
}

// asked says whether a part is one of those that words name: "net" is all that
// begin with it.
func asked(part string, words []string) bool {
	return len(words) == 0 || slices.Contains(words, part) ||
		slices.Contains(words, "net") && strings.HasPrefix(part, "net-")
}

func main() {
	if role := os.Getenv("OUROBOROS_BENCH_ROLE"); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", role+":", err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if err := run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	bin, dir string
	daemon   *exec.Cmd
	irm      *irm.Client
	client   *ouroboros.Client
	children []*child
}

func run(words []string) (err error) {
	var all []string
	for _, p := range parts {
		all = append(all, p.word)
	}
	for _, w := range words {
		if w != "net" && !slices.Contains(all, w) {
			return fmt.Errorf("%q is unknown; there are %s, and net", w, strings.Join(all, ", "))
		}
	}
	b := &bench{}
	defer host.Clean()
	defer b.stop()
	if err := b.start(); err != nil {
		return err
	}
	host, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Printf("Linux %s, %d CPUs (%s), %s.\n\n", strings.TrimSpace(string(host)), runtime.NumCPU(), cpu(), runtime.Version())
	fmt.Println("| What | Ours | Yardstick | Ratio | Goal |")
	fmt.Println("|---|---|---|---|---|")
	for _, p := range parts {
		if !asked(p.word, words) {
			continue
		}
		if err := p.run(b); errors.Is(err, netns.ErrRefused) {
			fmt.Fprintf(os.Stderr, "bench: %s is skipped: %v\n", p.word, err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", p.word, err)
		}
		b.endChildren()
	}
	return nil
}

func cpu() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.HasPrefix(k, "model name") {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func row(what, ours, yard, ratio, goal string) {
	fmt.Printf("| %s | %s | %s | %s | %s |\n", what, ours, yard, ratio, goal)
}

func (b *bench) start() (err error) {
	if b.bin, err = os.MkdirTemp("", "ouroboros-bench-bin-"); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "ouroboros-bench-"); err != nil {
		return err
	}
	if out, err := exec.Command("go", "build", "-o", b.bin, "./cmd/...").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	os.Setenv("OUROBOROS_RUNTIME_DIR", b.dir)
	b.daemon = exec.Command(filepath.Join(b.bin, "irmd"), "--stdout", "--log-level", "warn")
	b.daemon.Stdout, b.daemon.Stderr = os.Stderr, os.Stderr
	if err := b.daemon.Start(); err != nil {
		return err
	}
	for range 500 {
		if b.irm, err = irm.DialDir(b.dir); err == nil {
			if _, err = b.irm.Status(context.Background()); err == nil {
				break
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	b.client, err = ouroboros.Open(b.dir)
	return err
}

func (b *bench) stop() {
	b.endChildren()
	if b.client != nil {
		b.client.Close()
	}
	if b.daemon != nil && b.daemon.Process != nil {
		b.daemon.Process.Signal(syscall.SIGTERM)
		b.daemon.Wait()
	}
	os.RemoveAll(b.bin)
	os.RemoveAll(b.dir)
}

// child is this program again, in a role; it ends when its standard input
// does.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (b *bench) child(role string, files ...*os.File) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return b.launch(exec.Command(self), role, files...)
}

func (b *bench) launch(cmd *exec.Cmd, role string, files ...*os.File) (c *child, err error) {
	c = &child{cmd: cmd}
	c.cmd.Env = append(os.Environ(), append(cmd.Env, "OUROBOROS_BENCH_ROLE="+role)...)
	c.cmd.Stderr = os.Stderr
	c.cmd.ExtraFiles = files
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	b.children = append(b.children, c)
	if _, err := c.line(); err != nil { // "ready"
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	return c, nil
}

func (c *child) line() (string, error) {
	s, err := c.out.ReadString('\n')
	return strings.TrimSpace(s), err
}

func (b *bench) endChildren() {
	for _, c := range b.children {
		c.in.Close()
		c.cmd.Process.Kill()
		c.cmd.Wait()
	}
	b.children = nil
}

// server starts a role that accepts flows, and binds it to a name.
func (b *bench) server(role, name string) (*child, error) {
	c, err := b.child(role)
	if err != nil {
		return nil, err
	}
	return c, b.irm.BindProcess(context.Background(), c.cmd.Process.Pid, name)
}

// pair starts a role at the other end of a SEQPACKET socket pair.
func (b *bench) pair(role string) (int, *child, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, nil, err
	}
	other := os.NewFile(uintptr(fds[1]), "pair")
	defer other.Close()
	c, err := b.child(role, other)
	return fds[0], c, err
}

func play(role string) error {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	switch role {
	case "udp-echo":
		return udpEcho(os.Getenv("OUROBOROS_BENCH_ADDR"))
	case "eth-bridge":
		return ethBridge()
	case "tunnel":
		return tunnel(os.Getenv("OUROBOROS_BENCH_TUNNEL"))
	case "sock-echo":
		fmt.Println("ready")
		buf := make([]byte, 1<<17)
		for {
			n, err := unix.Read(3, buf)
			if err != nil || n == 0 {
				return err
			}
			if _, err := unix.Write(3, buf[:n]); err != nil {
				return err
			}
		}
	case "sock-sink":
		fmt.Println("ready")
		return sink(func(buf []byte) (int, error) { return unix.Read(3, buf) })
	}
	c, err := ouroboros.Open("")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		f, err := c.Accept(context.Background())
		if err != nil {
			return err
		}
		switch role {
		case "echo":
			go func() {
				defer f.Close()
				buf := make([]byte, 2048)
				for {
					n, err := f.Read(buf)
					if err != nil {
						return
					}
					if _, err := f.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
		case "sink":
			f.SetFlags(ouroboros.DefaultFlags | ouroboros.NoPartialRead)
			if err := sink(f.Read); err != nil {
				return err
			}
			f.Close()
		case "close":
			go func() {
				f.Read(make([]byte, 8))
				f.Close()
			}()
		default:
			return fmt.Errorf("no role %q", role)
		}
	}
}

// sink counts messages until one of 8 bytes, and prints count and bytes.
func sink(read func([]byte) (int, error)) error {
	buf := make([]byte, 1<<17)
	var messages, bytes uint64
	for {
		n, err := read(buf)
		if err != nil {
			return err
		}
		if n == 8 && binary.BigEndian.Uint64(buf) == 0 {
			break
		}
		messages++
		bytes += uint64(n)
	}
	fmt.Println(messages, bytes)
	return nil
}

func us(d time.Duration) string { return fmt.Sprintf("%.2f µs", float64(d.Nanoseconds())/1e3) }

type spread struct{ p50, p99 time.Duration }

func measure(n int, once func() error) (spread, error) {
	all := make([]time.Duration, n)
	for range n / 10 {
		if err := once(); err != nil {
			return spread{}, err
		}
	}
	for i := range all {
		begin := time.Now()
		if err := once(); err != nil {
			return spread{}, err
		}
		all[i] = time.Since(begin)
	}
	slices.Sort(all)
	return spread{all[n/2], all[n*99/100]}, nil
}

func (b *bench) rtt() error {
	if _, err := b.server("echo", "echo"); err != nil {
		return err
	}
	f, err := b.client.Alloc(context.Background(), "echo", nil)
	if err != nil {
		return err
	}
	defer f.Close()
	msg, buf := make([]byte, 64), make([]byte, 2048)
	const n = 200_000
	ours, err := measure(n, func() error {
		if _, err := f.Write(msg); err != nil {
			return err
		}
		_, err := f.Read(buf)
		return err
	})
	if err != nil {
		return err
	}
	fd, _, err := b.pair("sock-echo")
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	yard, err := measure(n, func() error {
		if _, err := unix.Write(fd, msg); err != nil {
			return err
		}
		_, err := unix.Read(fd, buf)
		return err
	})
	if err != nil {
		return err
	}
	row("round trip 64 B, median", us(ours.p50), us(yard.p50), fmt.Sprintf("%.2f x", float64(ours.p50)/float64(yard.p50)), "at most 0.5 x")
	row("round trip 64 B, p99", us(ours.p99), us(yard.p99), fmt.Sprintf("%.2f x", float64(ours.p99)/float64(yard.p99)), "at most 1 x")
	return nil
}

type rate struct{ messages, bytes float64 } // a second

func (b *bench) stream(size int, c *child, write func([]byte) (int, error)) (rate, error) {
	msg := make([]byte, size)
	for i := range msg {
		msg[i] = byte(i) | 1
	}
	begin := time.Now()
	end := begin.Add(time.Duration(*seconds * float64(time.Second)))
	for time.Now().Before(end) {
		for range 64 {
			if _, err := write(msg); err != nil {
				return rate{}, err
			}
		}
	}
	if _, err := write(make([]byte, 8)); err != nil {
		return rate{}, err
	}
	line, err := c.line()
	took := time.Since(begin).Seconds()
	if err != nil {
		return rate{}, err
	}
	var m, n float64
	if _, err := fmt.Sscan(line, &m, &n); err != nil {
		return rate{}, fmt.Errorf("%q: %w", line, err)
	}
	return rate{m / took, n / took}, nil
}

func (b *bench) oneWay() error {
	for _, w := range []struct {
		size int
		goal string
	}{{64, "at least 8 x"}, {1400, "at least 5 x"}, {65536, "at least 2 x"}} {
		name := "sink" + strconv.Itoa(w.size)
		c, err := b.server("sink", name)
		if err != nil {
			return err
		}
		f, err := b.client.Alloc(context.Background(), name, nil)
		if err != nil {
			return err
		}
		ours, err := b.stream(w.size, c, f.Write)
		if err != nil {
			return err
		}
		f.Close()
		fd, y, err := b.pair("sock-sink")
		if err != nil {
			return err
		}
		yard, err := b.stream(w.size, y, func(p []byte) (int, error) { return unix.Write(fd, p) })
		unix.Close(fd)
		if err != nil {
			return err
		}
		show := func(r rate) string {
			return fmt.Sprintf("%.0f thousand/s, %.2f GB/s", r.messages/1e3, r.bytes/1e9)
		}
		row(fmt.Sprintf("one way %d B", w.size), show(ours), show(yard), fmt.Sprintf("%.1f x", ours.messages/yard.messages), w.goal)
		b.endChildren()
	}
	return nil
}

func (b *bench) alloc() error {
	if _, err := b.server("close", "close"); err != nil {
		return err
	}
	once := func() error {
		f, err := b.client.Alloc(context.Background(), "close", nil)
		if err != nil {
			return err
		}
		return f.Dealloc()
	}
	const n = 20_000
	begin := time.Now()
	s, err := measure(n, once)
	if err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	row("allocate and deallocate, one after the other: rate, median, p99",
		fmt.Sprintf("%.0f/s, %s, %s", n*1.1/took, us(s.p50), us(s.p99)), "", "", "at least 5,000/s, p99 below 2 ms")

	// The same from one client that has four under way.
	var together sync.WaitGroup
	var mu sync.Mutex
	var failed error
	p99 := time.Duration(0)
	begin = time.Now()
	for range 4 {
		together.Go(func() {
			s, err := measure(n/4, once)
			mu.Lock()
			failed = errors.Join(failed, err)
			p99 = max(p99, s.p99)
			mu.Unlock()
		})
	}
	together.Wait()
	if failed != nil {
		return failed
	}
	row("the same, four at a time: rate, p99", fmt.Sprintf("%.0f/s, %s", n*1.1/time.Since(begin).Seconds(), us(p99)), "", "", "at least 5,000/s, p99 below 2 ms")

	var wg sync.WaitGroup
	begin = time.Now()
	for range 200 {
		wg.Go(func() {
			if err := once(); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	row("200 allocations in parallel", time.Since(begin).Round(10*time.Microsecond).String(), "", "", "all succeed")
	return failed
}

func (b *bench) many() error {
	server, err := b.server("echo", "many")
	if err != nil {
		return err
	}
	const n, step = 10_000, 1000
	flows := make([]*ouroboros.Flow, 0, n)
	defer func() {
		for _, f := range flows {
			f.Close()
		}
	}()
	var first, last float64
	buf := make([]byte, 2048)
	for len(flows) < n {
		begin := time.Now()
		for range step {
			f, err := b.client.Alloc(context.Background(), "many", nil)
			if err != nil {
				return fmt.Errorf("flow %d: %w", len(flows), err)
			}
			flows = append(flows, f)
		}
		last = step / time.Since(begin).Seconds()
		if first == 0 {
			first = last
		}
	}
	for i, f := range flows {
		f.SetReadTimeout(10 * time.Second)
		if _, err := f.Write([]byte("hello")); err != nil {
			return fmt.Errorf("flow %d: %w", i, err)
		}
		if k, err := f.Read(buf); err != nil || k != 5 {
			return fmt.Errorf("flow %d: %d bytes, %w", i, k, err)
		}
	}
	var rss, pss float64
	for _, pid := range []int{os.Getpid(), server.cmd.Process.Pid, b.daemon.Process.Pid} {
		r, p, err := memory(pid)
		if err != nil {
			return err
		}
		rss, pss = rss+r, pss+p
	}
	row("10,000 flows of one pair, all used: resident in all three processes", fmt.Sprintf("%.0f MiB (shared pages once: %.0f MiB)", rss, pss), "", "", "below 500 MiB")
	row("rate of allocation, flows 9,001 to 10,000", fmt.Sprintf("%.0f/s", last), fmt.Sprintf("the first thousand: %.0f/s", first), fmt.Sprintf("%.2f x", last/first), "at least 0.5 x")
	return nil
}

// memory gives the resident and the proportional set size in MiB.
func memory(pid int) (rss, pss float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "Rss:":
			rss = kib / 1024
		case "Pss:":
			pss = kib / 1024
		}
	}
	return rss, pss, nil
}

func (b *bench) idle() error {
	if _, err := b.server("echo", "idle"); err != nil {
		return err
	}
	var flows []*ouroboros.Flow
	for range 1000 {
		f, err := b.client.Alloc(context.Background(), "idle", nil)
		if err != nil {
			return err
		}
		flows = append(flows, f)
	}
	time.Sleep(time.Second)
	begin, err := cpuTime(b.daemon.Process.Pid)
	if err != nil {
		return err
	}
	const wait = 5 * time.Second
	time.Sleep(wait)
	end, err := cpuTime(b.daemon.Process.Pid)
	if err != nil {
		return err
	}
	for _, f := range flows {
		f.Close()
	}
	row("the daemon with 1,000 idle flows", fmt.Sprintf("%.2f %% of a CPU", 100*(end-begin).Seconds()/wait.Seconds()), "", "", "below 1 %")
	return nil
}

func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}

func (b *bench) autostart() error {
	oping := filepath.Join(b.bin, "oping")
	ctx := context.Background()
	if err := b.irm.BindProgram(ctx, irm.ProgramBinding{Program: oping, Args: []string{"--listen", "--quiet"}, Name: "oping", Auto: true}); err != nil {
		return err
	}
	buf := make([]byte, 64)
	var times []time.Duration
	for range 5 {
		begin := time.Now()
		f, err := b.client.Alloc(ctx, "oping", nil)
		if err != nil {
			return err
		}
		if _, err := f.Write(make([]byte, 64)); err != nil {
			return err
		}
		if _, err := f.Read(buf); err != nil {
			return err
		}
		times = append(times, time.Since(begin))
		f.Close()
		// A program that ends within a second of its start is held back a
		// little; that is not what is measured.
		time.Sleep(1100 * time.Millisecond)
		procs, err := b.irm.ListProcesses(ctx)
		if err != nil {
			return err
		}
		for _, p := range procs {
			if p.Auto {
				syscall.Kill(p.PID, syscall.SIGKILL)
			}
		}
		for running := true; running; time.Sleep(time.Millisecond) {
			procs, err := b.irm.ListProcesses(ctx)
			if err != nil {
				return err
			}
			running = slices.ContainsFunc(procs, func(p irm.ProcessInfo) bool { return p.Auto })
		}
	}
	slices.Sort(times)
	row("first ping to an oping server that is started for it: median, worst of 5", us(times[2])+", "+us(times[4]), "", "", "below 300 ms")
	return nil
}
