package packet

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"ouroboros/internal/packet"
)

// Sizes in bytes.
const (
	ethernetHeader = 14
	vlanTag        = 4

	// slotHead is what the kernel puts before a frame: its header, the
	// address of the sender, and room that aligns the payload.
	slotHead = 66

	blockSize   = 256 << 10
	defaultRing = 8 << 20
	leastRing   = 1 << 20
)

// ring is the receive ring, shared with the kernel: slots of one size, each
// with a word that says whose it is. One goroutine at a time uses it.
//
//	block (256 KiB)
//	┌───────────────┬───────────────┬───────────────┬──┐
//	│ header │ frame│ header │ frame│ header │ frame│  │ ...
//	└───────────────┴───────────────┴───────────────┴──┘
//	  ▲ status: 0 = the kernel's, TP_STATUS_USER = ours
type ring struct {
	mem      []byte
	slot     int // bytes
	perBlock int
	block    int
	slots    int
	next     int // the oldest slot that was not read
	longest  int // frame that a slot holds
}

// newRing gives the socket a receive ring of about size bytes for frames of up
// to longest bytes. With little memory it becomes smaller.
func newRing(fd, size, longest int) (*ring, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return nil, fmt.Errorf("choose the form of the receive ring: %w", err)
	}
	r := &ring{slot: (slotHead + longest + 63) &^ 63, block: blockSize, longest: longest}
	for r.block < r.slot {
		r.block *= 2
	}
	r.perBlock = r.block / r.slot
	var err error
	for size = max(size, leastRing, 2*r.block); size >= leastRing && size >= r.block; size /= 2 {
		n := size / r.block
		req := unix.TpacketReq{
			Block_size: uint32(r.block), Block_nr: uint32(n),
			Frame_size: uint32(r.slot), Frame_nr: uint32(n * r.perBlock),
		}
		if err = unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
			continue
		}
		r.slots = n * r.perBlock
		r.mem, err = unix.Mmap(fd, 0, n*r.block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return nil, fmt.Errorf("map the receive ring: %w", err)
		}
		return r, nil
	}
	return nil, fmt.Errorf("make a receive ring of %d bytes: %w", size*2, err)
}

func (r *ring) unmap() {
	if r.mem != nil {
		unix.Munmap(r.mem)
		r.mem = nil
	}
}

// at is the place of slot i.
func (r *ring) at(i int) []byte {
	off := i/r.perBlock*r.block + i%r.perBlock*r.slot
	return r.mem[off : off+r.slot : off+r.slot]
}

// status is the word that says whose a slot is.
func status(slot []byte) *uint32 { return (*uint32)(unsafe.Pointer(&slot[0])) }

// word is the status of the slot that is filled next.
func (r *ring) word() *uint32 { return status(r.at(r.next)) }

// ready reports whether a frame waits.
func (r *ring) ready() bool { return atomic.LoadUint32(r.word())&unix.TP_STATUS_USER != 0 }

// read copies the frames that wait into batch, up to its capacity, and gives
// their slots back. cut says how many were longer than a slot, and dropped.
func (r *ring) read(batch []*packet.Buffer) (filled []*packet.Buffer, bytes, cut int) {
	for looked := 0; looked < cap(batch); looked++ {
		slot := r.at(r.next)
		word := status(slot)
		if atomic.LoadUint32(word)&unix.TP_STATUS_USER == 0 {
			break
		}
		// The kernel alone writes here, but what it wrote is checked before
		// it is used as a place in memory.
		h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&slot[0]))
		from, n := int(h.Mac), int(h.Snaplen)
		if n < int(h.Len) || from+n > len(slot) {
			cut++
		} else {
			b := packet.Get(n)
			copy(b.Bytes(), slot[from:])
			batch = append(batch, b)
			bytes += n
		}
		atomic.StoreUint32(word, unix.TP_STATUS_KERNEL)
		if r.next++; r.next == r.slots {
			r.next = 0
		}
	}
	return batch, bytes, cut
}
