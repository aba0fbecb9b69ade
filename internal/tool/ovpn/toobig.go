package ovpn

import (
	"encoding/binary"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"ouroboros/internal/tool/tun"
)

// tooBig appends, after the head room of a device, the ICMP message with which
// a router refuses packet because the next hop carries only mtu bytes; nothing
// when none is due. The sender then sends shorter ones.
func tooBig(b, packet []byte, mtu int) []byte {
	if len(packet) == 0 {
		return nil
	}
	b = append(b, make([]byte, tun.HeadRoom)...)
	switch packet[0] >> 4 {
	case 4:
		return tooBig4(b, packet, mtu)
	case 6:
		return tooBig6(b, packet, mtu)
	}
	return nil
}

const header4, header6 = 20, 40

// tooBig4 is RFC 792 and 1191: destination unreachable, fragmentation needed.
// It goes to those alone who forbade fragments and sent no ICMP error.
func tooBig4(b, p []byte, mtu int) []byte {
	size := int(p[0]&15) * 4
	if len(p) < header4 || size < header4 || len(p) < size {
		return nil
	}
	const dontFragment = 0x4000
	fragment := binary.BigEndian.Uint16(p[6:])
	if fragment&0x1fff != 0 || fragment&dontFragment == 0 {
		return nil
	}
	if p[9] == 1 && (len(p) == size || p[size] != 0 && p[size] != 8) { // ICMP that is no echo
		return nil
	}
	quote := p[:min(len(p), size+8)]
	message, err := (&icmp.Message{
		Type: ipv4.ICMPTypeDestinationUnreachable, Code: 4,
		Body: &icmp.RawBody{Data: append(binary.BigEndian.AppendUint32(nil, uint32(min(mtu, 65535))), quote...)},
	}).Marshal(nil)
	if err != nil {
		return nil
	}
	at := len(b)
	b = append(b, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0)
	binary.BigEndian.PutUint16(b[at+2:], uint16(header4+len(message)))
	b = append(b, p[16:20]...) // from the one that it was sent to,
	b = append(b, p[12:16]...) // to the sender
	binary.BigEndian.PutUint16(b[at+10:], checksum(b[at:]))
	return append(b, message...)
}

// tooBig6 is RFC 4443: packet too big.
func tooBig6(b, p []byte, mtu int) []byte {
	if len(p) < header6 || p[6] == 58 && (len(p) == header6 || p[header6] < 128) { // an ICMP error
		return nil
	}
	if p[24] == 0xff { // a group cannot be the sender of the answer
		return nil
	}
	const shortest = 1280 // of the links of IPv6, and the longest such message
	quote := p[:min(len(p), shortest-header6-8)]
	from, to := p[24:40], p[8:24]
	message, err := (&icmp.Message{
		Type: ipv6.ICMPTypePacketTooBig,
		Body: &icmp.PacketTooBig{MTU: max(mtu, shortest), Data: quote},
	}).Marshal(icmp.IPv6PseudoHeader(from, to))
	if err != nil {
		return nil
	}
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(message)))
	b = append(b, 58, 64)
	b = append(b, from...)
	b = append(b, to...)
	return append(b, message...)
}

// checksum is that of the header of IPv4.
func checksum(h []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
