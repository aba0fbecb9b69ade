package session

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/internal/pb"
	"ouroboros/internal/ring"
)

// read handles what the daemon says until the connection ends.
func (c *Conn) read() {
	defer c.reader.Done()
	buf := make([]byte, MaxToProcess)
	oob := make([]byte, unix.CmsgSpace(4*GrantFDs))
	for {
		var m pb.ToProcess
		fds, lost, err := ReadRecord(c.c, buf, oob, &m)
		if err != nil {
			CloseAll(fds)
			c.end(daemonGone(err))
			c.sweep()
			return
		}
		if b, ok := m.Body.(*pb.ToProcess_Grant); ok {
			c.granted(m.Request, b.Grant, fds, lost)
			continue
		}
		CloseAll(fds)
		switch b := m.Body.(type) {
		case *pb.ToProcess_Done:
			c.answer(m.Request, answer{})
		case *pb.ToProcess_Failure:
			c.answer(m.Request, answer{err: b.Failure.Err()})
		case *pb.ToProcess_Events:
			for _, e := range b.Events.Event {
				c.event(int(e.Flow), e.Event)
			}
		case *pb.ToProcess_Unlink:
			c.retire(linkKey{b.Unlink.Link, int(b.Unlink.Side)})
		}
	}
}

func daemonGone(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
		return errno.New(errno.IRMd, "cannot talk to the IRM daemon: it has ended").
			Next("start it again with: irmd")
	}
	return noContact(err)
}

func (c *Conn) answer(request uint64, a answer) {
	if cl := c.take(request); cl != nil {
		cl.answer <- a
	}
}

func (c *Conn) event(id int, e uint32) {
	c.mu.Lock()
	h := c.flows[id]
	c.mu.Unlock()
	if h != nil && e <= math.MaxUint8 {
		h.grant.Notify(flow.Event(e))
	}
}

// granted makes the flow of a Grant, and gives it to the call that waits. A
// flow that cannot be made, or for which nobody waits any more, is
// deallocated. The session goes on in any case.
func (c *Conn) granted(request uint64, m *pb.Grant, fds []int, lost bool) {
	l, end, err := c.open(m, fds, lost)
	if err != nil {
		c.post(&pb.ToDaemon{Body: &pb.ToDaemon_Dealloc{Dealloc: &pb.Dealloc{Flow: m.Flow, LinkLost: l == nil}}})
		c.answer(request, answer{err: err})
		return
	}
	g := &Grant{
		ID: int(m.Flow), Name: m.Name, QoS: m.Qos.Spec(), MPL: time.Duration(m.Mpl),
		MTU: int(m.Mtu), Remote: m.Remote, Peer: int(m.Peer), End: end,
	}
	c.mu.Lock()
	if c.flows[g.ID] != nil {
		c.mu.Unlock()
		end.Close()
		c.end(noContact(fmt.Errorf("%w: flow %d was granted twice", ErrRecord, g.ID)))
		return
	}
	cl := c.calls[request]
	delete(c.calls, request)
	c.flows[g.ID] = &held{grant: g, link: l}
	l.flows++
	l.retired = l.retired || c.ended != nil
	c.mu.Unlock()
	if cl == nil {
		end.Close()
		c.Dealloc(g.ID)
		return
	}
	cl.answer <- answer{grant: g}
}

// open maps what came with a Grant. fds are taken over. The link is nil when
// this process does not hold it.
func (c *Conn) open(m *pb.Grant, fds []int, lost bool) (*linked, *ring.End, error) {
	want := GrantFDs
	if m.Inline {
		want--
	}
	if !m.HasLink {
		want -= linkFDs
	}
	key := linkKey{m.Link, int(m.Side)}
	c.mu.Lock()
	l := c.links[key]
	c.mu.Unlock()
	if lost || len(fds) != want {
		CloseAll(fds)
		return l, nil, outOfFiles()
	}
	if m.HasLink && l != nil {
		CloseAll(fds)
		return l, nil, fmt.Errorf("cannot take the flow: %w: its link came twice", ErrRecord)
	}
	if m.HasLink {
		own := len(fds) - linkFDs
		opened, err := ring.OpenLink(fds[own], fds[own+1], fds[own+2], key.side)
		fds = fds[:own]
		if err != nil {
			CloseAll(fds)
			return nil, nil, noMemory(err)
		}
		l = &linked{key: key, ring: opened}
		c.mu.Lock()
		c.links[key] = l
		c.mu.Unlock()
	}
	if l == nil { // its descriptors were lost before
		CloseAll(fds)
		return nil, nil, outOfFiles()
	}
	var seg *ring.Segment
	if !m.Inline {
		var err error
		if seg, err = ring.OpenSegment(fds[0]); err != nil {
			return l, nil, noMemory(err)
		}
	} else if seg = l.ring.Segment(int(m.Slot)); seg == nil {
		return l, nil, fmt.Errorf("cannot take the flow: %w: slot %d has no memory", ErrRecord, m.Slot)
	}
	end, err := ring.NewEnd(seg, l.ring, int(m.Slot), key.side)
	if err != nil {
		seg.Close()
		return l, nil, noMemory(err)
	}
	return l, end, nil
}

func outOfFiles() error {
	return errno.New(errno.NoFiles, "cannot take the flow: this process has no file descriptors left").
		Next("deallocate flows, or raise the limit with: ulimit -n")
}

func noMemory(err error) error {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return outOfFiles()
	}
	if errors.Is(err, unix.ENOMEM) {
		return errno.New(errno.NoMemory, "cannot take the flow: %v", err)
	}
	return fmt.Errorf("cannot take the flow: %w", err)
}
