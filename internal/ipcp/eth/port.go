package eth

import (
	"sync"
	"sync/atomic"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/link/monitor"
	link "ouroboros/internal/link/packet"
)

// retry is when a device is opened again that could not be opened.
const retry = time.Second

// port is the device of a layer: the link on it, which is opened anew when the
// device is another one of the same name or carries longer frames, and what
// the layer is told of it.
//
//	monitor: state ──► take ──► link opened, closed, another address
//	                     └────► Shim: down, up, MTU
type port struct {
	l       *layer
	device  string
	monitor *monitor.Monitor

	link    atomic.Pointer[link.Link] // nil while there is no device
	state   atomic.Pointer[monitor.State]
	reopens atomic.Uint64

	mu     sync.Mutex // of those who change the link
	closed bool
}

// open begins to watch the device and opens the link. The device has to be
// there.
func (p *port) open(l *layer, device string) error {
	p.l, p.device = l, device
	p.state.Store(&monitor.State{})
	err := l.i.within(func() (err error) {
		p.monitor, err = monitor.Open(device)
		return err
	})
	if err != nil {
		return err
	}
	now := p.monitor.State()
	if err := p.connect(); err != nil {
		p.monitor.Close()
		return err
	}
	p.mu.Lock()
	p.settle(now)
	p.mu.Unlock()
	l.i.env.Go(p.watch)
	return nil
}

// watch follows the device until the layer ends.
func (p *port) watch() {
	if err := p.monitor.Watch(p.take); err != nil {
		p.l.i.log.Error("the device of the layer cannot be watched any more", "device", p.device, "error", err)
	}
}

// connect opens a link and has it served. The link before it is closed.
func (p *port) connect() error {
	filter := link.LLC()
	if p.l.kind.Typed() {
		filter = link.Ethertype(p.l.ethertype)
	}
	var k *link.Link
	err := p.l.i.within(func() (err error) {
		k, err = link.Open(link.Config{Device: p.device, Filter: filter, Log: p.l.i.log, Go: p.l.i.env.Go})
		return err
	})
	if err != nil {
		return err
	}
	k.OnWritable(p.l.Writable)
	p.link.Store(k)
	p.l.i.env.Go(func() { p.serve(k) })
	return nil
}

// serve reads a link until it is closed.
func (p *port) serve(k *link.Link) {
	if err := k.Serve(&receiver{l: p.l}); err != nil && !p.isClosed() {
		p.l.i.log.Error("the link of the layer cannot be read any more", "device", p.device, "error", err)
	}
}

// take follows a change of the device.
func (p *port) take(now monitor.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	log := p.l.i.log.With("device", p.device)
	k := p.link.Load()
	switch {
	case !now.Present:
		log.Warn("the device is gone; the layer goes on when it is back")
		p.disconnect()
	case k == nil || k.Index() != now.Index || now.MTU > k.MTU():
		// Closed first: two links would receive everything twice.
		p.disconnect()
		if err := p.connect(); err != nil {
			// Mostly it has changed again, and the news of that is on its way.
			log.Warn("the device cannot be opened", "error", err)
			p.l.i.env.AfterFunc(retry, func() { p.take(p.monitor.State()) })
			now = monitor.State{}
		} else {
			p.reopens.Add(1)
			log.Info("the device was opened anew", "index", now.Index, "mtu", now.MTU)
		}
	case k.MAC() != now.MAC:
		if err := k.SetMAC(now.MAC); err != nil {
			log.Warn("the new address of the device cannot be used", "error", err)
		}
	}
	p.settle(now)
}

// settle tells the layer what the device is like now. The lock is held.
func (p *port) settle(now monitor.State) {
	p.state.Store(&now)
	if now.Present {
		p.l.SetMTU(p.l.maxPayload(p.device, now.MTU))
	}
	if !now.Up {
		// What was learned may not hold when the cable is plugged in again,
		// possibly into another socket.
		p.l.Directory.Clear()
	}
	p.l.SetDown(!now.Up)
}

// disconnect closes the link. The lock is held.
func (p *port) disconnect() {
	if k := p.link.Swap(nil); k != nil {
		k.Close()
	}
}

// ready is nil when frames can be sent.
func (p *port) ready() error {
	switch s := p.state.Load(); {
	case !s.Present:
		return errno.New(errno.IPCP, "the device %s is gone", p.device).Next("see which there are: ip link")
	case !s.Up:
		return errno.New(errno.IPCP, "the device %s is down", p.device).
			Next("plug the cable in, or switch it on with: ip link set %s up", p.device)
	}
	return nil
}

func (p *port) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// close ends the watch and the link.
func (p *port) close() error {
	p.mu.Lock()
	p.closed = true
	p.disconnect()
	p.mu.Unlock()
	return p.monitor.Close()
}
