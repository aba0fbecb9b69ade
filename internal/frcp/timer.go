package frcp

import "time"

// timer is the one timer of a flow. It is set for the earliest deadline, and
// left alone while it would fire no later than it must: it then looks what is
// due and is set again.
type timer struct {
	t  *time.Timer
	at int64 // fires then; 0 = not started
}

// arm starts the timer when a deadline is earlier than it. The lock is held.
func (f *Flow) arm() {
	if f.state >= dead {
		return
	}
	at := earliest(f.snd.rtoAt, f.snd.rdvsAt, f.snd.paceAt, f.rcv.ackAt, f.snd.endAt, f.out.againAt)
	if at == 0 || f.timer.at != 0 && f.timer.at <= at {
		return
	}
	f.timer.at = at
	d := time.Duration(at - f.now())
	if f.timer.t == nil {
		f.timer.t = f.cfg.AfterFunc(d, f.tick)
	} else {
		f.timer.t.Reset(d)
	}
}

// earliest of the times that are set.
func earliest(times ...int64) (at int64) {
	for _, t := range times {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	return at
}

// clear stops the timer.
func (t *timer) clear() {
	if t.t != nil {
		t.t.Stop()
	}
	t.at = 0
}

// due reports whether the deadline has come.
func due(at, now int64) bool { return at != 0 && at <= now }

// tick is called by the timer.
func (f *Flow) tick() {
	f.mu.Lock()
	f.timer.at = 0
	if f.state >= dead {
		f.mu.Unlock()
		return
	}
	now := f.now()
	if due(f.rcv.ackAt, now) {
		f.rcv.ackNow, f.rcv.ackAt = true, 0
	}
	if due(f.out.againAt, now) {
		f.out.waiting, f.out.againAt = false, 0
	}
	if due(f.snd.paceAt, now) {
		f.snd.paceAt = 0
	}
	if due(f.snd.rdvsAt, now) {
		f.rendezvous(now)
	}
	if due(f.snd.rtoAt, now) {
		f.expire(now)
	}
	if due(f.snd.endAt, now) {
		f.finish()
	}
	if f.state < dead {
		f.send(now)
	}
	f.leave()
}
