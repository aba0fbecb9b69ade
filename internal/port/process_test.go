package port_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/flow"
	"ouroboros/internal/packet"
	"ouroboros/internal/port"
	"ouroboros/internal/protect"
	"ouroboros/internal/ring"
	"ouroboros/qos"
)

// The application of a benchmark is this test binary again, in a role: "ping
// COUNT SIZE", "write COUNT SIZE" or "read COUNT SIZE". It begins when its
// standard input ends, and says how long it took.
const roleEnv = "OUROBOROS_PORT_TEST_ROLE"

// application plays a role on side 0 of a flow that it finds from descriptor 3.
func application(role string) error {
	var what string
	var count, size int
	if _, err := fmt.Sscan(role, &what, &count, &size); err != nil {
		return err
	}
	s, err := ring.OpenSegment(3)
	if err != nil {
		return err
	}
	l, err := ring.OpenLink(4, 5, 6, 0)
	if err != nil {
		return err
	}
	e, err := ring.NewEnd(s, l, 0, 0)
	if err != nil {
		return err
	}
	defer e.Close()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	msg, buf := make([]byte, size), make([]byte, 1<<16)
	begin := time.Now()
	for range count {
		if what != "read" {
			if err := e.Write(msg, ring.WriteOptions{Timeout: -1}); err != nil {
				return err
			}
		}
		if what != "write" {
			if _, err := e.Read(buf, ring.ReadOptions{Timeout: -1}); err != nil {
				return err
			}
		}
	}
	fmt.Println(time.Since(begin).Nanoseconds())
	return nil
}

// outside is a flow under the guard, in place of that of an IPCP: it counts
// what is sent, or sends it back, and receives what the benchmark gives it.
type outside struct {
	flow.Handler
	echo   bool
	count  atomic.Int64
	want   int64
	all    chan struct{}
	resume chan struct{}
}

func (o *outside) Send(batch []*packet.Buffer) int {
	n := o.count.Add(int64(len(batch)))
	if o.echo {
		packet.ReleaseAll(batch[o.Receive(batch):])
	} else {
		packet.ReleaseAll(batch)
	}
	if n == o.want {
		close(o.all)
	}
	return len(batch)
}
func (o *outside) Attach(h flow.Handler) { o.Handler = h }
func (o *outside) Resume() {
	select {
	case o.resume <- struct{}{}:
	default:
	}
}
func (o *outside) MTU() int      { return 1500 }
func (o *outside) QoS() qos.Spec { return qos.Raw }
func (o *outside) QueueLen() int { return 0 }
func (o *outside) Dealloc()      {}

// run lets a process do its role against a port over the guard, and gives how
// long it took.
func run(b *testing.B, o *outside, ber uint32, what string, size int) time.Duration {
	b.Helper()
	seg, err := ring.NewSegment(ring.SegmentOptions{Shared: true})
	if err != nil {
		b.Fatal(err)
	}
	defer seg.Close()
	link, err := ring.NewLink(true)
	if err != nil {
		b.Fatal(err)
	}
	defer link.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+fmt.Sprint(what, " ", b.N, " ", size))
	cmd.Stderr = os.Stderr
	mem, bell0, bell1 := link.FDs()
	for _, fd := range []int{seg.FD(), mem, bell0, bell1} {
		dup, err := unix.Dup(fd)
		if err != nil {
			b.Fatal(err)
		}
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(dup), "flow"))
	}
	in, _ := cmd.StdinPipe()
	pipe, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	end, err := ring.NewEnd(seg, link, 0, 1)
	if err != nil {
		b.Fatal(err)
	}
	o.want, o.all, o.resume = int64(b.N), make(chan struct{}), make(chan struct{}, 1)
	spec := qos.Raw
	spec.BER = ber
	done := make(chan struct{})
	p := port.New(end, protect.New(o, protect.Config{QoS: spec}), func() { close(done) })
	out := bufio.NewScanner(pipe)
	out.Scan()
	before := cpu()
	b.ReportAllocs()
	b.ResetTimer()
	in.Close()
	if what == "read" {
		batch := make([]*packet.Buffer, 0, 32)
		for left := b.N; left > 0; {
			for len(batch) < min(left, 32) {
				batch = append(batch, packet.Get(size))
			}
			n := o.Receive(batch)
			if left -= n; n < len(batch) && left > 0 {
				<-o.resume
			}
			batch = batch[:copy(batch, batch[n:])]
		}
	}
	out.Scan()
	took, err := strconv.ParseInt(strings.TrimSpace(out.Text()), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	if what == "write" {
		<-o.all
	}
	b.StopTimer()
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	used := cpu() - before
	b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), "cpu-ns/op")
	p.Close()
	<-done
	return time.Duration(took)
}

// cpu is the time that this process and its ended children have used.
func cpu() (sum time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		syscall.Getrusage(who, &u)
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// BenchmarkProcess measures the path between an application in a process of its
// own and the flow of an IPCP: ring, port and guard.
func BenchmarkProcess(b *testing.B) {
	b.Run("round trip/64", func(b *testing.B) { run(b, &outside{echo: true}, 1, "ping", 64) })
	for _, size := range []int{64, 1400} {
		b.Run(fmt.Sprint("out/", size), func(b *testing.B) { run(b, &outside{}, 1, "write", size) })
		b.Run(fmt.Sprint("in/", size), func(b *testing.B) { run(b, &outside{}, 1, "read", size) })
	}
	b.Run("out/checked/1400", func(b *testing.B) { run(b, &outside{}, 0, "write", 1400) })
}
