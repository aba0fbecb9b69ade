package ring

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"ouroboros/internal/errno"
)

// MaxSlots is the number of flows that one link can carry.
const MaxSlots = 1 << 16

// LinkSegments is the number of flows that live in the memory of a shared link
// itself: those in the lowest slots. They come and go without a system call.
const LinkSegments = 16

// The memory of a link: what rings each side, a control page for each of the
// LinkSegments flows, and their rings. Memory that is not touched costs
// nothing. Per side, what it is rung by:
//
//	offset  size  side*linkSide +
//	0       4     idle: 1 = the poller sleeps, write its eventfd
//	128     128   summary: bit w = word w of the bitmap is not zero
//	4096    8192  bitmap: bit s = flow in slot s
const (
	linkIdle    = 0
	linkSummary = 128
	linkBitmap  = 4096
	linkSide    = linkBitmap + MaxSlots/8
	linkBells   = 2 * linkSide
	linkSlim    = linkBells + LinkSegments*pageSize
	linkBytes   = linkSlim + LinkSegments*2*DefaultSize

	bitmapWords  = MaxSlots / 64
	summaryWords = bitmapWords / 64
)

// inlineCtl is where the control page of a slot lies in Link.mem, inlineRings
// where its rings lie in Link.rings.
func inlineCtl(slot int) int   { return linkBells + slot*pageSize }
func inlineRings(slot int) int { return slot * 2 * DefaultSize }

// Link carries the doorbells of all flows between two owners. In one program
// both sides use the same Link.
type Link struct {
	shared   bool
	mem      []byte // up to linkSlim; stays where it is until Close
	rings    []byte // of the LinkSegments flows; nil in one program, or given back
	memfd    int    // -1 when opened here
	poisoned atomic.Uint64

	side [2]bell
}

// bell is one side of a link: what rings it, and, if the side is here, who
// hears it.
type bell struct {
	link    *Link
	idle    *atomic.Uint32
	summary [summaryWords]*atomic.Uint64
	bitmap  []byte
	fd      int // eventfd; -1 in one program

	mu     sync.Mutex
	poller *poller // nil before the first end, or hook, of the side
	table  [bitmapWords]atomic.Pointer[[64]atomic.Pointer[End]]
}

// NewLink makes a link. A shared one has a sealed memfd and two eventfds.
func NewLink(shared bool) (*Link, error) {
	l := &Link{shared: shared, memfd: -1}
	l.side[0].fd, l.side[1].fd = -1, -1
	if !shared {
		mem, err := mapLink(-1, linkBells, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
		if err != nil {
			return nil, fmt.Errorf("ring: cannot make a link: %w", err)
		}
		l.init(mem)
		return l, nil
	}
	fd, err := newMemfd("ouroboros-link", linkBytes)
	if err != nil {
		return nil, fmt.Errorf("ring: cannot make a link: %w", err)
	}
	l.memfd = fd
	for i := range l.side {
		if l.side[i].fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			l.closeFDs()
			return nil, fmt.Errorf("ring: cannot make a doorbell: %w", err)
		}
	}
	mem, err := mapLink(fd, linkBytes, unix.MAP_SHARED)
	if err != nil {
		l.closeFDs()
		return nil, fmt.Errorf("ring: cannot map a link: %w", err)
	}
	l.init(mem)
	return l, nil
}

// OpenLink maps a link that was passed here, for the side of this process. It
// takes the descriptors over, also when it fails.
func OpenLink(mem, bell0, bell1, side int) (*Link, error) {
	l := &Link{shared: true, memfd: mem}
	l.side[0].fd, l.side[1].fd = bell0, bell1
	size, err := checkMemfd(mem)
	if err == nil && size != linkBytes {
		err = fmt.Errorf("%d bytes", size)
	}
	if err == nil && side != 0 && side != 1 {
		err = fmt.Errorf("side %d", side)
	}
	for i := range l.side {
		if err == nil {
			err = unix.SetNonblock(l.side[i].fd, true)
		}
	}
	if err != nil {
		l.closeFDs()
		return nil, fmt.Errorf("ring: not a link: %w", err)
	}
	m, err := mapLink(mem, linkBytes, unix.MAP_SHARED)
	if err != nil {
		l.closeFDs()
		return nil, fmt.Errorf("ring: cannot map a link: %w", err)
	}
	unix.Close(mem)
	l.memfd = -1
	l.init(m)
	return l, nil
}

// mapLink and unmapLink map memory of which a part can be given back.
func mapLink(fd, size, flags int) ([]byte, error) {
	p, err := unix.MmapPtr(fd, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), size), nil
}

func unmapLink(mem []byte) { _ = unix.MunmapPtr(unsafe.Pointer(&mem[0]), uintptr(len(mem))) }

func (l *Link) init(mem []byte) {
	countProcessors()
	l.mem = mem
	if len(mem) > linkSlim {
		l.mem, l.rings = mem[:linkSlim:linkSlim], mem[linkSlim:]
	}
	for i := range l.side {
		b, m := &l.side[i], mem[i*linkSide:]
		b.link = l
		b.idle = word32(m, linkIdle)
		for w := range b.summary {
			b.summary[w] = word64(m, linkSummary+8*w)
		}
		b.bitmap = m[linkBitmap:linkSide]
	}
}

// FDs are the descriptors to pass on: the memory and the doorbells of side 0
// and 1. All -1 when not shared.
func (l *Link) FDs() (mem, bell0, bell1 int) {
	return l.memfd, l.side[0].fd, l.side[1].fd
}

// Segment gives the segment of a flow that lives in the memory of the link; nil
// when the slot has none, or the link is of one program.
func (l *Link) Segment(slot int) *Segment {
	if !l.shared || slot < 0 || slot >= LinkSegments || l.rings == nil {
		return nil
	}
	return &Segment{size: DefaultSize, fd: -1, all: true, link: l, slot: slot}
}

// Reset makes the segment of a slot ready for a new flow. Whoever made the
// link calls it, when both ends of the last flow there are closed; false when
// the slot has no segment.
func (l *Link) Reset(slot int) bool {
	if !l.shared || slot < 0 || slot >= LinkSegments {
		return false
	}
	clear(l.mem[inlineCtl(slot):][:pageSize])
	return true
}

// Slim gives back what the maker of a link does not need when both sides are
// in other programs and have it: all but what Reset uses, which may run at the
// same time. The link must have no ends here.
func (l *Link) Slim() {
	l.closeFDs()
	l.unmapRings()
}

// Poisoned counts the ends of this link whose other side wrote what cannot be.
func (l *Link) Poisoned() uint64 { return l.poisoned.Load() }

// Close ends the pollers of this program, waits for them and releases all; ends
// made with the link must be closed before. Not to be called by an OnWake.
func (l *Link) Close() error {
	for i := range l.side {
		b := &l.side[i]
		b.mu.Lock()
		p := b.poller
		b.poller = nil
		b.mu.Unlock()
		if p != nil {
			p.stop()
			b.fd = -1 // closed with the poller
		}
	}
	l.closeFDs()
	l.unmapRings()
	if l.mem != nil {
		unmapLink(l.mem)
		l.mem = nil
	}
	return nil
}

func (l *Link) unmapRings() {
	if l.rings != nil {
		unmapLink(l.rings)
		l.rings = nil
	}
}

func (l *Link) closeFDs() {
	for _, fd := range []*int{&l.memfd, &l.side[0].fd, &l.side[1].fd} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// add registers an end in its slot.
func (b *bell) add(slot int, e *End) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link.shared && b.poller == nil {
		p, err := startPoller(b)
		if err != nil {
			return fmt.Errorf("ring: cannot listen for doorbells: %w", err)
		}
		b.poller = p
	}
	chunk := b.table[slot/64].Load()
	if chunk == nil {
		chunk = new([64]atomic.Pointer[End])
		b.table[slot/64].Store(chunk)
	}
	if !chunk[slot%64].CompareAndSwap(nil, e) {
		return errno.New(errno.Exist, "ring: slot %d of the link is taken", slot)
	}
	return nil
}

func (b *bell) remove(slot int, e *End) {
	if chunk := b.table[slot/64].Load(); chunk != nil {
		chunk[slot%64].CompareAndSwap(e, nil)
	}
}

func (b *bell) end(slot int) *End {
	if chunk := b.table[slot/64].Load(); chunk != nil {
		return chunk[slot%64].Load()
	}
	return nil
}

// deferHooks starts the poller that runs the OnWake functions of a link in
// one program. Between processes it runs already.
func (b *bell) deferHooks() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.poller == nil {
		b.poller = startHeapPoller(b)
	}
}

// ring wakes the end in a slot of this side.
func (b *bell) ring(slot int) {
	if !b.link.shared {
		e := b.end(slot)
		if e == nil {
			return
		}
		// Parked calls are woken from here, which takes no lock that a call
		// holds. Hooks may call back into the flow: the poller runs them.
		e.waiters.wake()
		if e.hook.Load() == nil {
			return
		}
	}
	word := slot / 64
	word64(b.bitmap, 8*word).Or(1 << (slot % 64))
	b.summary[word/64].Or(1 << (word % 64))
	if b.idle.Load() != 0 && b.idle.Swap(0) != 0 {
		b.rouse()
	}
}

func (b *bell) rouse() {
	if b.fd >= 0 {
		writeEventfd(b.fd)
		return
	}
	b.mu.Lock()
	p := b.poller
	b.mu.Unlock()
	if p != nil {
		select {
		case p.kick <- struct{}{}:
		default:
		}
	}
}

// drain wakes the ends whose bits are set. What is in the bitmap comes from
// the other side: a bit of a free slot is passed over.
func (b *bell) drain() {
	for s := range b.summary {
		if b.summary[s].Load() == 0 {
			continue
		}
		for words := b.summary[s].Swap(0); words != 0; words &= words - 1 {
			word := s*64 + trailing(words)
			for bits := word64(b.bitmap, 8*word).Swap(0); bits != 0; bits &= bits - 1 {
				if e := b.end(word*64 + trailing(bits)); e != nil {
					e.wake()
				}
			}
		}
	}
}

func (b *bell) pending() bool {
	for s := range b.summary {
		if b.summary[s].Load() != 0 {
			return true
		}
	}
	return false
}
