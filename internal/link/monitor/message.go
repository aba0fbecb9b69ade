package monitor

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// message is what one netlink message says about a device.
type message struct {
	name   string
	gone   bool
	answer bool // to our question
	state  State
}

// Lengths of netlink structures, in bytes.
const (
	headerLen = 16 // struct nlmsghdr: length, type, flags, sequence, port
	infoLen   = 16 // struct ifinfomsg: family, pad, type, index, flags, change
	attrLen   = 4  // struct nlattr: length, type

	question = 1 // the sequence number of ours
)

// ask requests the state of the device. The answer comes among the other
// messages, in order.
func (m *Monitor) ask(fd int) error {
	name := append([]byte(m.device), 0)
	n := headerLen + infoLen + attrLen + align(len(name))
	p := make([]byte, n)
	ne := binary.NativeEndian
	ne.PutUint32(p[0:], uint32(n))
	ne.PutUint16(p[4:], unix.RTM_GETLINK)
	ne.PutUint16(p[6:], unix.NLM_F_REQUEST)
	ne.PutUint32(p[8:], question)
	attr := p[headerLen+infoLen:]
	ne.PutUint16(attr[0:], uint16(attrLen+len(name)))
	ne.PutUint16(attr[2:], unix.IFLA_IFNAME)
	copy(attr[attrLen:], name)
	if err := unix.Sendto(fd, p, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask for the state: %w", err)
	}
	return nil
}

func align(n int) int { return (n + 3) &^ 3 }

// parse reads the messages about devices in p. An error of the kernel answers
// the question: there is no such device.
func parse(p []byte, device string) (msgs []message) {
	ne := binary.NativeEndian
	for len(p) >= headerLen {
		n := int(ne.Uint32(p))
		if n < headerLen || n > len(p) {
			return msgs
		}
		body, answer := p[headerLen:n], ne.Uint32(p[8:]) == question
		switch kind := ne.Uint16(p[4:]); kind {
		case unix.NLMSG_ERROR:
			if answer && len(body) >= 4 && ne.Uint32(body) != 0 {
				msgs = append(msgs, message{name: device, gone: true, answer: true})
			}
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			if msg, ok := parseLink(body); ok {
				msg.answer, msg.gone = answer, kind == unix.RTM_DELLINK
				msgs = append(msgs, msg)
			}
		}
		p = p[min(align(n), len(p)):]
	}
	return msgs
}

// parseLink reads an ifinfomsg and its attributes. What bridges say about
// their ports looks the same but for the family, and is not meant.
func parseLink(p []byte) (msg message, ok bool) {
	if len(p) < infoLen || p[0] != unix.AF_UNSPEC {
		return msg, false
	}
	ne := binary.NativeEndian
	flags := ne.Uint32(p[8:])
	const up = unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP
	msg.state = State{Present: true, Index: int(int32(ne.Uint32(p[4:]))), Up: flags&up == up}
	for p = p[infoLen:]; len(p) >= attrLen; {
		n := int(ne.Uint16(p))
		if n < attrLen || n > len(p) {
			break
		}
		value := p[attrLen:n]
		switch ne.Uint16(p[2:]) &^ unix.NLA_F_NESTED {
		case unix.IFLA_IFNAME:
			name, _, _ := bytes.Cut(value, []byte{0})
			msg.name = string(name)
		case unix.IFLA_MTU:
			if len(value) == 4 {
				msg.state.MTU = int(ne.Uint32(value))
			}
		case unix.IFLA_ADDRESS:
			if len(value) == len(msg.state.MAC) {
				copy(msg.state.MAC[:], value)
			}
		}
		p = p[min(align(n), len(p)):]
	}
	return msg, msg.name != ""
}
