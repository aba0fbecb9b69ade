package ring

import (
	"math/bits"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

func trailing(v uint64) int { return bits.TrailingZeros64(v) }

// poller is the goroutine that hears the doorbells of one side of a link. The
// bell owns it; stop waits for it.
type poller struct {
	bell    *bell
	closing atomic.Bool
	done    chan struct{}

	file *os.File      // the eventfd in the runtime's poller; nil in one program
	kick chan struct{} // instead of it
}

// startPoller listens on the side's eventfd, which belongs to the poller from
// then on.
func startPoller(b *bell) (*poller, error) {
	p := &poller{bell: b, done: make(chan struct{})}
	p.file = os.NewFile(uintptr(b.fd), "doorbell")
	conn, err := p.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		// One call for life: the eventfd is watched edge-triggered, each write
		// is an edge, and an edge between two looks is kept. So nobody needs
		// to read the eventfd.
		_ = conn.Read(func(uintptr) bool {
			p.listen()
			return p.closing.Load()
		})
	}()
	return p, nil
}

func startHeapPoller(b *bell) *poller {
	p := &poller{bell: b, done: make(chan struct{}), kick: make(chan struct{}, 1)}
	go func() {
		defer close(p.done)
		for {
			p.listen()
			if p.closing.Load() {
				return
			}
			<-p.kick
		}
	}()
	return p
}

// listen drains the bell until nothing is left, and says then that it sleeps.
func (p *poller) listen() {
	b := p.bell
	b.idle.Store(0)
	for !p.closing.Load() {
		b.drain()
		b.idle.Store(1)
		if !b.pending() {
			return
		}
		// Rung between the two. The other side may do this all day long;
		// others are to get their turn.
		b.idle.Store(0)
		runtime.Gosched()
	}
}

func (p *poller) stop() {
	p.closing.Store(true)
	if p.file != nil {
		p.file.Close() // ends the wait
	} else {
		select {
		case p.kick <- struct{}{}:
		default:
		}
	}
	<-p.done
}

var one uint64 = 1

// writeEventfd never blocks, so it can do without telling the scheduler.
func writeEventfd(fd int) {
	unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), 8)
}
