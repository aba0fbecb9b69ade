package ring

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
)

// The other process of a test is this test binary again, in a role. It ends
// when its standard input does.
const roleEnv = "OUROBOROS_RING_TEST_ROLE"

// Descriptors that the other process finds: of a segment and its link, or of
// its end of a socket pair.
const (
	fdSegment = 3 + iota
	fdLink
	fdBell0
	fdBell1

	fdSocket = 3
)

// duplex is what a ring and the yardstick have in common.
type duplex interface {
	read(p []byte) (int, error)
	write(p []byte) error
}

type ringDuplex struct{ *End }

func (d ringDuplex) read(p []byte) (int, error) { return d.Read(p, ReadOptions{Timeout: -1}) }
func (d ringDuplex) write(p []byte) error       { return d.Write(p, WriteOptions{Timeout: -1}) }

type socketDuplex struct{ net.Conn }

func (d socketDuplex) read(p []byte) (int, error) { return d.Read(p) }
func (d socketDuplex) write(p []byte) error {
	_, err := d.Write(p)
	return err
}

// child is the other process.
func child(role string) int {
	var d duplex
	switch role[:4] {
	case "ring":
		s, err := OpenSegment(fdSegment)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		l, err := OpenLink(fdLink, fdBell0, fdBell1, 1)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		e, err := NewEnd(s, l, 0, 1)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		d = ringDuplex{e}
	case "sock":
		c, err := net.FileConn(os.NewFile(fdSocket, "socket"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		d = socketDuplex{c}
	}
	go func() {
		buf := make([]byte, 1<<20)
		for {
			n, err := d.read(buf)
			if err != nil {
				return
			}
			// A sink answers the message of one byte that ends a series.
			if role[5:] == "echo" || n == 1 {
				if err := d.write(buf[:n]); err != nil {
					return
				}
			}
		}
	}()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

// other is a started child.
type other struct {
	duplex
	end *End
	cmd *exec.Cmd
}

func start(t testing.TB, role string) *other {
	t.Helper()
	o := &other{cmd: exec.Command("/proc/self/exe")}
	o.cmd.Env = append(os.Environ(), roleEnv+"="+role)
	o.cmd.Stderr = os.Stderr
	if role[:4] == "ring" {
		s, err := NewSegment(SegmentOptions{Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		l, err := NewLink(true)
		if err != nil {
			t.Fatal(err)
		}
		if o.end, err = NewEnd(s, l, 0, 0); err != nil {
			t.Fatal(err)
		}
		o.duplex = ringDuplex{o.end}
		mem, b0, b1 := l.FDs()
		for _, fd := range []int{s.FD(), mem, b0, b1} {
			nfd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
			if err != nil {
				t.Fatal(err)
			}
			o.cmd.ExtraFiles = append(o.cmd.ExtraFiles, os.NewFile(uintptr(nfd), "passed"))
		}
		s.CloseFD()
		t.Cleanup(func() {
			o.end.Close()
			l.Close()
		})
	} else {
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(p[0]), "socket")
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		o.duplex = socketDuplex{c}
		o.cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(p[1]), "socket")}
		t.Cleanup(func() { c.Close() })
	}
	in, err := o.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range o.cmd.ExtraFiles {
		f.Close()
	}
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		o.cmd.Wait()
	})
	return o
}

func TestTwoProcessesEchoAllSizes(t *testing.T) {
	o := start(t, "ring-echo")
	buf := make([]byte, 1<<20)
	for _, n := range []int{1, 64, 1400, 4089, 65536, 1 << 20, 3} {
		for range 20 {
			p := pattern(n, n)
			if err := o.write(p); err != nil {
				t.Fatal(err)
			}
			if k, err := o.read(buf); err != nil || string(buf[:k]) != string(p) {
				t.Fatal(k, err)
			}
		}
	}
}

func TestKilledProcessLeavesABlockedReaderToTheNode(t *testing.T) {
	o := start(t, "ring-sink")
	o.end.Write([]byte("message"), WriteOptions{Timeout: -1})
	errs := make(chan error, 1)
	go func() {
		_, err := o.end.Read(make([]byte, 10), ReadOptions{Timeout: -1})
		errs <- err
	}()
	o.cmd.Process.Kill()
	o.cmd.Wait()
	o.end.Mark(flow.EventDown) // as the node does when it sees the process go
	if err := <-errs; !errors.Is(err, errno.FlowDown) {
		t.Fatal(err)
	}
	if o.end.Ended() {
		t.Fatal("looks like an orderly end")
	}
}

func TestUnsealedOrWrongMemoryIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  int64
		seals int
	}{
		{"unsealed", pageSize + 2*DefaultSize, 0},
		{"may shrink", pageSize + 2*DefaultSize, unix.F_SEAL_GROW | unix.F_SEAL_SEAL},
		{"read-only", pageSize + 2*DefaultSize, seals | unix.F_SEAL_FUTURE_WRITE},
		{"empty", 0, seals},
		{"odd", pageSize + 3*DefaultSize, seals},
		{"tiny", pageSize + 2*1024, seals},
	} {
		fd, err := unix.MemfdCreate("test", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		unix.Ftruncate(fd, c.size)
		unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, c.seals)
		link, _ := unix.Dup(fd)
		if _, err := OpenSegment(fd); err == nil {
			t.Errorf("%s: taken for a segment", c.name)
		}
		b0, _ := unix.Eventfd(0, unix.EFD_CLOEXEC)
		b1, _ := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if _, err := OpenLink(link, b0, b1, 0); err == nil {
			t.Errorf("%s: taken for a link", c.name)
		}
		for _, fd := range []int{fd, link, b0, b1} {
			if unix.Close(fd) != syscall.EBADF {
				t.Errorf("%s: a descriptor is left", c.name)
			}
		}
	}
	var p [2]int
	unix.Pipe2(p[:], unix.O_CLOEXEC)
	unix.Close(p[1])
	if _, err := OpenSegment(p[0]); err == nil {
		t.Error("a pipe was taken for a segment")
	}
}

// BenchmarkRoundTrip is 64 bytes to another process and back.
func BenchmarkRoundTrip(b *testing.B) {
	for _, kind := range []string{"ring", "sock"} {
		b.Run(kind, func(b *testing.B) {
			o := start(b, kind+"-echo")
			p, buf := make([]byte, 64), make([]byte, 64)
			took := make([]time.Duration, b.N)
			b.ResetTimer()
			for i := range b.N {
				t := time.Now()
				if err := o.write(p); err != nil {
					b.Fatal(err)
				}
				if _, err := o.read(buf); err != nil {
					b.Fatal(err)
				}
				took[i] = time.Since(t)
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[b.N/2].Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(took[b.N*99/100].Nanoseconds()), "p99-ns")
		})
	}
}

// BenchmarkOneWay is a stream of messages to another process.
func BenchmarkOneWay(b *testing.B) {
	for _, size := range []int{64, 1400, 64 << 10} {
		for _, kind := range []string{"ring", "sock"} {
			b.Run(fmt.Sprintf("%dB/%s", size, kind), func(b *testing.B) {
				o := start(b, kind+"-sink")
				p := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					if err := o.write(p); err != nil {
						b.Fatal(err)
					}
				}
				o.write(p[:1])
				o.read(p)
				b.StopTimer()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			})
		}
	}
}
