package frcp

// windowMask are the bits of a number that the window field carries.
const windowMask = 1<<24 - 1

// Seq is a sequence number. Two of them are compared by their signed
// difference, so that order holds across 2^32 for any two less than 2^31
// apart.
type Seq uint32

// Before and After are the order of numbers.
func (s Seq) Before(t Seq) bool { return int32(s-t) < 0 }
func (s Seq) After(t Seq) bool  { return int32(s-t) > 0 }

// Since is how many numbers s is after t; negative when before.
func (s Seq) Since(t Seq) int { return int(int32(s - t)) }

// Add is the number n after s.
func (s Seq) Add(n int) Seq { return s + Seq(uint32(n)) }

// Edge gives the full number for a window field: the first one not before base
// with these low 24 bits. base is the oldest number that the other side can
// still be thinking of, mostly the oldest unacknowledged one.
func Edge(window uint32, base Seq) Seq {
	return base + (Seq(window)-base)&windowMask
}
