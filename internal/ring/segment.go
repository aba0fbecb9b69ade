package ring

import (
	"fmt"
	"math/bits"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Sizes of a ring in bytes.
const (
	DefaultSize = 2 << 20
	minSize     = pageSize
	maxSize     = 1 << 30
)

const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// Segment is the memory of one flow: a control page and two rings.
type Segment struct {
	size int // of one ring

	mu   sync.Mutex
	fd   int    // -1 when not shared, or given back
	mem  []byte // nil while nobody uses it and fd can give it again
	link *Link  // whose memory it lies in; nil for one with memory of its own
	slot int    // there
	ends int    // that use mem
	all  bool   // no more ends will come
}

// SegmentOptions says what to make. The zero value means the defaults.
type SegmentOptions struct {
	Shared bool // a sealed memfd that can be passed on; else memory of this program
	Size   int  // bytes of a ring, a power of two from 4096; 0 = 2 MiB, enough for a message of 1 MiB
}

// NewSegment makes a segment. A shared one is not mapped before it gets its
// first end here: who only passes it on pays for a descriptor alone.
func NewSegment(o SegmentOptions) (*Segment, error) {
	size := o.Size
	if size == 0 {
		size = DefaultSize
	}
	if size < minSize || size > maxSize || bits.OnesCount(uint(size)) != 1 {
		return nil, fmt.Errorf("ring: %d bytes is not a ring size", size)
	}
	s := &Segment{size: size, fd: -1}
	if o.Shared {
		fd, err := newMemfd("ouroboros-flow", s.bytes())
		if err != nil {
			return nil, fmt.Errorf("ring: cannot make the memory of a flow: %w", err)
		}
		s.fd = fd
		return s, nil
	}
	mem, err := unix.Mmap(-1, 0, s.bytes(), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("ring: cannot make the memory of a flow: %w", err)
	}
	noHugePages(mem)
	s.mem = mem
	return s, nil
}

// OpenSegment maps a segment that was passed here. It takes fd over, checks
// its seals and size, and closes it in any case: a mapped flow costs no
// descriptor.
func OpenSegment(fd int) (*Segment, error) {
	defer unix.Close(fd)
	total, err := checkMemfd(fd)
	if err != nil {
		return nil, fmt.Errorf("ring: not the memory of a flow: %w", err)
	}
	size := (total - pageSize) / 2
	if size < minSize || size > maxSize || bits.OnesCount64(uint64(size)) != 1 || total != pageSize+2*size {
		return nil, fmt.Errorf("ring: not the memory of a flow: %d bytes", total)
	}
	s := &Segment{size: int(size), fd: -1, all: true} // of this side there is one end
	if s.mem, err = mapShared(fd, s.bytes()); err != nil {
		return nil, fmt.Errorf("ring: cannot map a flow: %w", err)
	}
	return s, nil
}

func (s *Segment) bytes() int { return pageSize + 2*s.size }

// FD is the descriptor to pass on; -1 when not shared or given back.
func (s *Segment) FD() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fd
}

// CloseFD says that the segment has been passed to all, and gives the
// descriptor back. Until then the memory, and what a closed end has written
// there, is kept for the other end, whether it comes here or elsewhere.
func (s *Segment) CloseFD() {
	if s.link != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = true
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	s.unmapUnused()
}

// Close gives all back that the segment holds, what its ends use excepted: that
// goes with the last of them.
func (s *Segment) Close() { s.CloseFD() }

// acquire maps the segment for one more end.
func (s *Segment) acquire() (ctl, rings []byte, err error) {
	if s.link != nil {
		l := s.link
		return l.mem[inlineCtl(s.slot):][:pageSize], l.rings[inlineRings(s.slot):][:2*s.size], nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mem == nil {
		if s.fd < 0 {
			return nil, nil, fmt.Errorf("ring: segment: %w", os.ErrClosed)
		}
		mem, err := mapShared(s.fd, s.bytes())
		if err != nil {
			return nil, nil, fmt.Errorf("ring: cannot map a flow: %w", err)
		}
		s.mem = mem
	}
	s.ends++
	return s.mem[:pageSize], s.mem[pageSize:], nil
}

// release takes back what acquire gave.
func (s *Segment) release() {
	if s.link != nil {
		return // the link keeps it for the next flow
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends--
	s.unmapUnused()
}

// unmapUnused gives the memory back when no end uses it, and either none will
// or the descriptor keeps it.
func (s *Segment) unmapUnused() {
	if s.mem != nil && s.ends == 0 && (s.all || s.fd >= 0) {
		unix.Munmap(s.mem)
		s.mem = nil
	}
}

// newMemfd makes sealed shared memory of the size, all zero.
func newMemfd(name string, size int) (int, error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // kernels before 6.3
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return -1, err
	}
	if err = unix.Ftruncate(fd, int64(size)); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// checkMemfd gives the size of sealed memory. Unsealed memory could shrink
// under its users, who would fault.
func checkMemfd(fd int) (int64, error) {
	have, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return 0, err
	}
	if have&seals != seals {
		return 0, fmt.Errorf("its size is not sealed")
	}
	if have&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0 {
		return 0, fmt.Errorf("it cannot be written")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	return st.Size, nil
}

func mapShared(fd, size int) ([]byte, error) {
	return unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// noHugePages keeps a flow that carried one message from costing 2 MiB.
func noHugePages(mem []byte) { _ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE) }
