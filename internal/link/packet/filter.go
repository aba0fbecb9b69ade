package packet

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Filter says which protocol a Link receives. What is not for it the kernel
// drops before it costs anything.
type Filter struct {
	protocol uint16 // what the kernel sorts frames by
	check    []bpf.Instruction
}

// Ethertype receives the frames of an ethertype, 0x0600 and above.
func Ethertype(t uint16) Filter {
	return Filter{protocol: t, check: []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(t), SkipTrue: toDrop},
	}}
}

// LLC receives unnumbered information in 802.3 frames that goes to a SAP from
// 1 to 63, bits reversed: an octet whose last two bits are 0. Others have such
// SAPs too, so this is a coarse filter: SAPs come and go with the flows, and a
// finer one would have to be changed each time.
func LLC() Filter {
	return Filter{protocol: unix.ETH_P_802_2, check: []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: 0x05ff, SkipTrue: toDrop},
		bpf.LoadAbsolute{Off: 14, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x03, SkipTrue: toDrop},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: toDrop},
		bpf.LoadAbsolute{Off: 16, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x03, SkipTrue: toDrop},
	}}
}

func (f Filter) String() string {
	if f.protocol == unix.ETH_P_802_2 {
		return "802.2"
	}
	return fmt.Sprintf("ethertype 0x%04X", f.protocol)
}

// toDrop stands for the distance to the end of the program.
const toDrop = 0xff

// all is how much of a frame is taken: everything.
const all = 1 << 18

// program makes the filter for a station: its protocol, to its address or to
// everybody, not of a VLAN, and not sent by this host.
func (f Filter) program(mac [6]byte) ([]bpf.RawInstruction, error) {
	p := []bpf.Instruction{
		// Not what this host sends, nor what is for others. So are the frames
		// of a VLAN for which there is no device: the kernel shows them here,
		// with the tag taken off. (On lo everybody is a group: compare below.)
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: unix.PACKET_MULTICAST, SkipTrue: toDrop},
	}
	p = append(p, f.check...)
	p = append(p,
		bpf.LoadAbsolute{Off: 2, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(mac[2:]), SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0xffffffff, SkipTrue: toDrop},
		bpf.LoadAbsolute{Off: 0, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0xffff, SkipTrue: 2, SkipFalse: toDrop},
		bpf.LoadAbsolute{Off: 0, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(binary.BigEndian.Uint16(mac[:])), SkipTrue: toDrop},
		bpf.RetConstant{Val: all},
	)
	for i, ins := range p {
		if j, ok := ins.(bpf.JumpIf); ok {
			end := uint8(len(p) - 1 - i)
			if j.SkipTrue == toDrop {
				j.SkipTrue = end
			}
			if j.SkipFalse == toDrop {
				j.SkipFalse = end
			}
			p[i] = j
		}
	}
	return bpf.Assemble(append(p, bpf.RetConstant{Val: 0}))
}

// attach makes the kernel use the filter, in place of the one before.
func (f Filter) attach(fd int, mac [6]byte) error {
	raw, err := f.program(mac)
	if err != nil {
		return fmt.Errorf("assemble the filter: %w", err)
	}
	ins := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		ins[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(ins)), Filter: &ins[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("attach the filter: %w", err)
	}
	return nil
}
