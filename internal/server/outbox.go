package server

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"ouroboros/internal/errno"
	"ouroboros/internal/fabric"
	"ouroboros/internal/flow"
	"ouroboros/internal/pb"
	"ouroboros/internal/session"
)

// parcel is a Grant on its way. Its descriptors are looked up at the moment of
// sending, so that a link travels with whichever Grant goes first.
type parcel struct {
	request uint64
	m       *pb.Grant
	end     *fabric.End
	failed  func(error) // when it cannot be passed; called without locks
}

// item is one record that waits: a message, or a parcel.
type item struct {
	m *pb.ToProcess
	p *parcel
}

// eventsPerRecord keeps a record well below session.MaxToProcess.
const eventsPerRecord = 1024

// outbox sends records to a process in order. Nobody waits for the process: a
// record goes at once, or into the queue that a goroutine empties when there
// is room. A process that lets the queue grow beyond its limit, or takes
// nothing for too long, is cut off.
type outbox struct {
	c     *net.UnixConn
	raw   syscall.RawConn
	limit int
	stall time.Duration
	count *counters

	mu       sync.Mutex
	queue    []item
	draining bool
	closed   bool
	buf      []byte
	drainer  sync.WaitGroup
}

func newOutbox(c *net.UnixConn, l Limits, count *counters) *outbox {
	raw, _ := c.SyscallConn() // fails only when closed, and then nothing is sent
	return &outbox{c: c, raw: raw, limit: l.Pending + 1024, stall: l.Stall, count: count}
}

// send sends a message.
func (o *outbox) send(m *pb.ToProcess) { o.put(item{m: m}) }

// grant sends a flow.
func (o *outbox) grant(p *parcel) { o.put(item{p: p}) }

// event reports an event of a flow. What waits to be sent is sent together.
func (o *outbox) event(id int, e flow.Event) {
	ev := &pb.Event{Flow: int32(id), Event: uint32(e)}
	o.mu.Lock()
	if n := len(o.queue); n > 0 {
		if last := o.queue[n-1].m.GetEvents(); last != nil && len(last.Event) < eventsPerRecord {
			last.Event = append(last.Event, ev)
			o.mu.Unlock()
			return
		}
	}
	o.mu.Unlock()
	o.send(&pb.ToProcess{Body: &pb.ToProcess_Events{Events: &pb.Events{Event: []*pb.Event{ev}}}})
}

// unlink tells the process to give a link back.
func (o *outbox) unlink(link uint64, side int) {
	o.send(&pb.ToProcess{Body: &pb.ToProcess_Unlink{Unlink: &pb.Unlink{Link: link, Side: uint32(side)}}})
}

func (o *outbox) put(it item) {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	if len(o.queue) == 0 {
		err := o.now(it)
		if err == nil {
			o.mu.Unlock()
			return
		}
		if !errors.Is(err, unix.EAGAIN) {
			o.mu.Unlock()
			o.undeliverable(it, err)
			return
		}
	}
	if len(o.queue) >= o.limit {
		o.mu.Unlock()
		o.cut(os.ErrDeadlineExceeded)
		return
	}
	o.queue = append(o.queue, it)
	if !o.draining {
		o.draining = true
		o.drainer.Add(1)
		go o.drain()
	}
	o.mu.Unlock()
}

// now sends a record without waiting. o.mu is held.
func (o *outbox) now(it item) error {
	if it.p == nil {
		return o.record(it.m, nil)
	}
	return it.p.end.Pass(func(f fabric.Parcel) error {
		m := it.p.m
		m.Link, m.Side, m.Slot = f.Link, uint32(f.Side), uint32(f.Slot)
		m.HasLink, m.Inline = f.HasLink, f.Inline
		return o.record(&pb.ToProcess{Request: it.p.request, Body: &pb.ToProcess_Grant{Grant: m}}, f.FDs)
	})
}

func (o *outbox) record(m *pb.ToProcess, fds []int) (err error) {
	if o.buf, err = (proto.MarshalOptions{}).MarshalAppend(o.buf[:0], m); err != nil {
		return err
	}
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if cerr := o.raw.Control(func(fd uintptr) {
		err = session.Send(fd, o.buf, oob)
	}); cerr != nil {
		return cerr
	}
	return err
}

// undeliverable handles a record that could not be sent though there was room:
// the connection is gone, or this one flow cannot be passed.
func (o *outbox) undeliverable(it item, err error) {
	if it.p == nil {
		return // the reader sees the end of the connection
	}
	if errors.Is(err, unix.ETOOMANYREFS) {
		err = errno.New(errno.NoFiles, "cannot pass the flow: too many descriptors are on their way to processes that do not read").
			Next("try again")
	}
	it.p.failed(err)
}

// drain sends what is queued as the process makes room.
func (o *outbox) drain() {
	defer o.drainer.Done()
	for {
		o.c.SetWriteDeadline(time.Now().Add(o.stall))
		var lost []item
		var why []error
		more := true
		err := o.raw.Write(func(uintptr) bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			moved := false
			for len(o.queue) > 0 && !o.closed {
				err := o.now(o.queue[0])
				if errors.Is(err, unix.EAGAIN) {
					return moved
				}
				if err != nil {
					lost, why = append(lost, o.queue[0]), append(why, err)
				}
				o.queue[0] = item{}
				o.queue = o.queue[1:]
				moved = true
			}
			o.queue, o.draining, more = nil, false, false
			return true
		})
		for i, it := range lost {
			o.undeliverable(it, why[i])
		}
		if err != nil {
			o.cut(err)
			return
		}
		if !more {
			return
		}
	}
}

// cut ends a session whose process does not read, or is gone. Its reader sees
// it.
func (o *outbox) cut(why error) {
	o.mu.Lock()
	first := !o.closed
	o.closed = true
	o.queue = nil
	o.mu.Unlock()
	if first {
		if errors.Is(why, os.ErrDeadlineExceeded) {
			o.count.stalled.Add(1)
		}
		o.c.Close()
	}
}

// close ends the outbox after its connection was closed, and waits for its
// goroutine. What was queued is dropped: its session releases it.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.queue = nil
	o.mu.Unlock()
	o.drainer.Wait()
}
