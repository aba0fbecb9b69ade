package dht

import (
	"context"
	"math/rand/v2"
	"time"

	"ouroboros/internal/packet"
	codec "ouroboros/internal/wire/dht"
	wire "ouroboros/internal/wire/dt"
)

// call runs f on the goroutine of the directory and waits for it.
func (d *Directory) call(ctx context.Context, f func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ran := make(chan struct{})
	select {
	case d.calls <- func() { f(); close(ran) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.ended:
		return errClosed()
	}
	select {
	case <-ran:
		return nil
	case <-d.ended:
		return errClosed()
	}
}

// run is the goroutine.
func (d *Directory) run() {
	if !d.life.CompareAndSwap(made, running) {
		return
	}
	defer d.end()
	d.now = time.Now()
	d.started, d.explored = d.now, d.now
	d.agenda.after(d.now, 0, d.check)
	for d.work() {
		select {
		case <-d.done:
			return
		case b := <-d.in:
			d.now = time.Now()
			d.packet(b)
		case f := <-d.calls:
			d.now = time.Now()
			f()
		case <-d.moved:
			d.now = time.Now()
			if d.routesAlarm == nil {
				d.routesAlarm = d.agenda.after(d.now, routesSettle+rand.N(routesSettle), d.routes)
			}
		case <-d.wake:
			d.now = time.Now()
		}
	}
}

// work does what is due and sets the timer for what comes next. It is false when
// the directory is to end.
func (d *Directory) work() bool {
	for al := d.agenda.due(d.now); al != nil; al = d.agenda.due(d.now) {
		al.do()
		if d.life.Load() == over {
			return false
		}
	}
	if len(d.agenda) == 0 {
		return true
	}
	// A timer that rings too early costs a look; so it is only ever moved forward.
	next := d.agenda[0].at
	if !d.timerAt.IsZero() && d.timerAt.After(d.now) && !next.Before(d.timerAt) {
		return true
	}
	d.timerAt = next
	wait := max(next.Sub(d.now), 0)
	if d.timer == nil {
		d.timer = d.afterFunc(wait, func() {
			select {
			case d.wake <- struct{}{}:
			default:
			}
		})
	} else {
		d.timer.Reset(wait)
	}
	return true
}

// end is the last that the goroutine does.
func (d *Directory) end() {
	if d.timer != nil {
		d.timer.Stop()
	}
	d.life.Store(over)
	close(d.ended)
	for {
		select {
		case b := <-d.in:
			b.Release()
		default:
			return
		}
	}
}

// packet takes what has arrived.
func (d *Directory) packet(b *packet.Buffer) {
	defer b.Release()
	if !b.TrimHead(wire.HeaderLen) {
		d.count.malformed++
		return
	}
	m := &d.message
	if err := m.Parse(b.Bytes(), len(d.id)); err != nil {
		d.count.malformed++
		d.warn("a message that cannot be read has arrived at the directory", "error", err)
		return
	}
	d.count.received++
	d.count.leftOut += uint64(m.LeftOut)
	if m.Src.Addr == d.own {
		d.count.spoofed++
		d.warn("a message has arrived that says it is from this member")
		return
	}
	switch {
	case m.Code == codec.Store:
		d.stored(m)
	case m.Code.Request():
		d.asked(m, b.Len())
	default:
		d.response(m)
	}
}

// send sends a message as this member, and reports whether there was room for
// it.
func (d *Directory) send(to wire.Addr, m *codec.Message) bool {
	m.Src = d.src
	b := packet.Get(m.Size())
	m.Append(b.Bytes()[:0])
	d.one[0] = b
	if d.net.Send(to, 0, wire.EIDDirectory, d.one[:]) == 1 {
		d.count.sent++
		return true
	}
	b.Release()
	d.count.congested++
	return false
}

// warn logs each thing once: what one packet does the next can do, too.
func (d *Directory) warn(what string, args ...any) {
	if _, ok := d.warned[what]; !ok {
		d.warned[what] = struct{}{}
		d.log.Warn(what, args...)
	}
}
