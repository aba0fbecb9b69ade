// Package udp carries batches of packet buffers over one UDP socket, with as
// few system calls, copies and wake-ups as Linux allows.
//
//	Send(to, batch)                                Receive(from, batch)
//	  │ runs of equal size                              ▲ runs of one source
//	┌─▼──────────────────────────┐   ┌──────────────────┴─────────────────┐
//	│ trains: one message with a │   │ trains are cut into pooled buffers │
//	│ segment size (UDP_SEGMENT) │   │ by their segment size (UDP_GRO)    │
//	├────────────────────────────┤   ├────────────────────────────────────┤
//	│ sendmmsg: gathered out of  │   │ recvmmsg: scattered into pooled    │
//	│ the packet buffers         │   │ buffers                            │
//	└─┬──────────────────────────┘   └──────────────────▲─────────────────┘
//	  └───────────────────── kernel ────────────────────┘
//
// # Sending
//
// A run of datagrams to one destination that have the same length, but for a
// shorter last one, leaves as one train: the kernel carries it as one packet
// as far down as it can and cuts it there. Nothing is copied in user space. A
// system call takes all trains and single datagrams of a batch. The order
// within a batch is kept.
//
// Whether trains go is found out at run time. A kernel without UDP_SEGMENT
// says so at Open. A route may still refuse one: segments longer than the MTU
// of its device cannot form a train, and some devices can do without
// checksums of their own only. Such a destination is remembered for a while,
// with the length that was too long, and gets single datagrams.
//
// Datagrams longer than the MTU of a path are fragmented by IP: path MTU
// discovery is off, no datagram has DF set, and nobody's ICMP message can
// shrink what is sent. (IPv6 routers do not fragment, so there the path MTU
// that they report is used; the sending host fragments.)
//
// When the send buffer of the socket is full, Send takes fewer than all, and
// OnWritable's function is called when there is room again. Datagrams that
// the kernel refuses for other reasons (no route, filtered, too long) are
// taken, dropped and counted, as they could be lost further on: no error of
// one destination stops another one.
//
// # Receiving
//
// Serve reads on the goroutine that calls it, and delivers on it. It takes
// all that is there with one system call. When nothing is there it looks
// again for a short while that adapts to how soon something came before,
// lending the processor to others between the looks, and then sleeps in the
// kernel. Between two hosts that answer each other a wake-up costs more than
// everything else together.
//
// A datagram is delivered whole or not at all, up to the 65,507 bytes that UDP
// has.
package udp
