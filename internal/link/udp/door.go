package udp

import "sync/atomic"

// door lets calls use a descriptor until it is shut, and says who was last:
// a descriptor closed under a running call could be somebody else's by the
// time the call reaches the kernel.
type door struct {
	state atomic.Int64 // calls inside, and shutBit
}

const shutBit = 1 << 62

// enter lets a call in; false when the door is shut.
func (d *door) enter() bool {
	for {
		n := d.state.Load()
		if n&shutBit != 0 {
			return false
		}
		if d.state.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave reports whether the caller was the last inside of a door that is
// shut.
func (d *door) leave() (last bool) { return d.state.Add(-1) == shutBit }

// shut lets nobody in from now on. The caller is inside. False when it was
// shut before.
func (d *door) shut() bool {
	for {
		n := d.state.Load()
		if n&shutBit != 0 {
			return false
		}
		if d.state.CompareAndSwap(n, n|shutBit) {
			return true
		}
	}
}

func (d *door) isShut() bool { return d.state.Load()&shutBit != 0 }
