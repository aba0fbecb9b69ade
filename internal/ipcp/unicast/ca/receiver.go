package ca

// Receiver is the receiving end of a flow: it makes a level of the marks of
// packets and says when to report it. The zero value is ready.
//
//	level   mark   new level                     report?
//	0       0      0                             no
//	0       > 0    the mark                      yes
//	> 0     > 0    level - level/32 + mark       the 1st, 9th, 17th ... of these
//	> 0     0      level/4                       when it has become 0
//
// So the level comes close to 32 times the mean mark.
type Receiver struct {
	level uint16
	count uint32 // of marked packets since the first, which is not counted
}

// Constants of the receiving end.
const (
	levelShift  = 5 // the level is averaged over 32 packets
	reportEvery = 8 // marked packets; divides 2^32, at which count starts again
)

// Packet takes the mark of a packet that arrived, and reports whether Level is
// to be sent to the other end.
func (r *Receiver) Packet(mark uint8) (report bool) {
	switch {
	case mark == 0:
		if r.level == 0 {
			return false
		}
		r.level >>= 2
		return r.level == 0
	case r.level == 0:
		r.level, r.count = uint16(mark), 0
		return true
	}
	r.level += uint16(mark) - r.level>>levelShift
	r.count++
	return (r.count-1)%reportEvery == 1
}

// Level is the congestion on the way to here, Count the marked packets behind
// the first of this congestion.
func (r *Receiver) Level() uint16 { return r.level }
func (r *Receiver) Count() uint32 { return r.count }
