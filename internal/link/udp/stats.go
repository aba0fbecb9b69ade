package udp

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Stats are the counters of a Socket since Open, and what the kernel granted.
type Stats struct {
	Received      uint64 // datagrams
	ReceivedBytes uint64 // of payload
	ReceivedTrain uint64 // messages of more than one datagram, as the kernel gave them
	Truncated     uint64 // longer than a datagram can be; dropped
	Malformed     uint64 // without a source, or trains that cannot be cut; dropped
	ReceiveErrors uint64 // errors of the kernel, ICMP's included
	Overflows     uint64 // datagrams that the kernel dropped because the receive buffer was full

	Sent         uint64 // datagrams
	SentBytes    uint64 // of payload
	SentTrains   uint64 // messages of more than one datagram
	ShortTakes   uint64 // calls of Send that did not take all
	SendErrors   uint64 // datagrams dropped because the kernel refused them: no route, filtered, too long
	LastError    error  // of those, the last
	TrainRefused uint64 // trains refused, whose datagrams went one by one

	RecvBuffer int // bytes, as the kernel counts: twice of what was asked for
	SendBuffer int
	GSO, GRO   bool // trains are used for sending, for receiving
}

type counters struct {
	received, receivedBytes, receivedTrains  atomic.Uint64
	truncated, malformed, receiveErrors      atomic.Uint64
	sent, sentBytes, sentTrains, shortTakes  atomic.Uint64
	sendErrors, lastSendErrno, trainsRefused atomic.Uint64
	overflows                                atomic.Uint64
}

// Stats gives the counters.
func (s *Socket) Stats() Stats {
	c := &s.count
	st := Stats{
		Received: c.received.Load(), ReceivedBytes: c.receivedBytes.Load(), ReceivedTrain: c.receivedTrains.Load(),
		Truncated: c.truncated.Load(), Malformed: c.malformed.Load(), ReceiveErrors: c.receiveErrors.Load(),
		Sent: c.sent.Load(), SentBytes: c.sentBytes.Load(), SentTrains: c.sentTrains.Load(),
		ShortTakes: c.shortTakes.Load(), SendErrors: c.sendErrors.Load(), TrainRefused: c.trainsRefused.Load(),
		RecvBuffer: s.recvBuffer, SendBuffer: s.sendBuffer,
		GSO: s.gso, GRO: s.gro,
	}
	if e := c.lastSendErrno.Load(); e != 0 {
		st.LastError = unix.Errno(e)
	}
	if s.door.enter() {
		c.overflows.Store(uint64(overflows(s.fd)))
		s.leave()
	}
	st.Overflows = c.overflows.Load()
	return st
}
