package enroll

import "ouroboros/internal/wire/dt"

// Config is the configuration of a layer as it travels: all numbers as they
// came, known or not.
type Config struct {
	Layer   string
	Hash    uint32
	Type    uint32
	Unicast *Unicast // of unicast layers
}

// Unicast is the part of unicast layers.
type Unicast struct {
	AddrSize, EIDSize, MaxTTL uint32

	Routing uint32
	LS      *LinkState // when Routing is 0

	Directory uint32
	DHT       *DHT // when Directory is 0

	AddrAuth   uint32
	Congestion uint32
}

// LinkState is how forwarding tables are made. Times are in seconds.
type LinkState struct{ Policy, Recalc, Update, Timeout uint32 }

// DHT is the directory. Times are in seconds.
type DHT struct {
	Alpha, K, Expire, Refresh, Replicate uint32
	Peer                                 dt.Addr // of the enroller; 0 = there is none
}

// Peer is the address of the enroller; 0 = it gave none.
func (c *Config) Peer() dt.Addr {
	if c.Unicast == nil || c.Unicast.DHT == nil {
		return 0
	}
	return c.Unicast.DHT.Peer
}

// WithPeer is what a member hands out that has joined with c: the same, and its
// own address.
func (c *Config) WithPeer(own dt.Addr) *Config {
	n := *c
	if c.Unicast != nil {
		u := *c.Unicast
		n.Unicast = &u
		if u.LS != nil {
			ls := *u.LS
			u.LS = &ls
		}
		if u.DHT != nil {
			d := *u.DHT
			d.Peer = own
			u.DHT = &d
		}
	}
	return &n
}

func (c *Config) read(b []byte) error {
	return read(b, set(1, 2), set(3), func(n number, f field) error {
		switch n {
		case 1:
			return f.message(c.readLayer)
		case 2:
			return f.uint32(&c.Type)
		}
		c.Unicast = new(Unicast)
		return f.message(c.Unicast.read)
	})
}

func (c *Config) readLayer(b []byte) error {
	return read(b, set(1, 2), 0, func(n number, f field) error {
		if n == 2 {
			return f.uint32(&c.Hash)
		}
		return f.name(&c.Layer)
	})
}

func (u *Unicast) read(b []byte) error {
	return read(b, set(1, 2, 3, 4), 0, func(n number, f field) error {
		switch n {
		case 1:
			return f.message(u.readDT)
		case 2:
			return f.message(u.readDirectory)
		case 3:
			return f.uint32(&u.AddrAuth)
		}
		return f.uint32(&u.Congestion)
	})
}

func (u *Unicast) readDT(b []byte) error {
	return read(b, set(1, 2, 3, 4), 0, func(n number, f field) error {
		switch n {
		case 1:
			return f.uint32(&u.AddrSize)
		case 2:
			return f.uint32(&u.EIDSize)
		case 3:
			return f.uint32(&u.MaxTTL)
		}
		return f.message(u.readRouting)
	})
}

func (u *Unicast) readRouting(b []byte) error {
	return read(b, set(1), set(2), func(n number, f field) error {
		if n == 1 {
			return f.uint32(&u.Routing)
		}
		u.LS = new(LinkState)
		return f.message(u.LS.read)
	})
}

func (l *LinkState) read(b []byte) error {
	to := [...]*uint32{1: &l.Policy, 2: &l.Recalc, 3: &l.Update, 4: &l.Timeout}
	return read(b, set(1, 2, 3, 4), 0, func(n number, f field) error { return f.uint32(to[n]) })
}

func (u *Unicast) readDirectory(b []byte) error {
	return read(b, set(1), set(2), func(n number, f field) error {
		if n == 1 {
			return f.uint32(&u.Directory)
		}
		u.DHT = new(DHT)
		return f.message(u.DHT.read)
	})
}

func (d *DHT) read(b []byte) error {
	to := [...]*uint32{1: &d.Alpha, 2: &d.K, 3: &d.Expire, 4: &d.Refresh, 5: &d.Replicate}
	return read(b, set(1, 2, 3, 4, 5, 6), 0, func(n number, f field) error {
		if n == 6 {
			return f.uint64((*uint64)(&d.Peer))
		}
		return f.uint32(to[n])
	})
}

func (c *Config) fields(b writer) writer {
	b = b.bytes(1, writer(nil).bytes(1, []byte(c.Layer)).number(2, uint64(c.Hash)))
	b = b.number(2, uint64(c.Type))
	if c.Unicast != nil {
		b = b.bytes(3, c.Unicast.fields(nil))
	}
	return b
}

func (u *Unicast) fields(b writer) writer {
	routing := writer(nil).number(1, uint64(u.Routing))
	if l := u.LS; l != nil {
		routing = routing.bytes(2, writer(nil).number(1, uint64(l.Policy)).number(2, uint64(l.Recalc)).
			number(3, uint64(l.Update)).number(4, uint64(l.Timeout)))
	}
	directory := writer(nil).number(1, uint64(u.Directory))
	if d := u.DHT; d != nil {
		directory = directory.bytes(2, writer(nil).number(1, uint64(d.Alpha)).number(2, uint64(d.K)).
			number(3, uint64(d.Expire)).number(4, uint64(d.Refresh)).number(5, uint64(d.Replicate)).
			number(6, uint64(d.Peer)))
	}
	b = b.bytes(1, writer(nil).number(1, uint64(u.AddrSize)).number(2, uint64(u.EIDSize)).
		number(3, uint64(u.MaxTTL)).bytes(4, routing))
	return b.bytes(2, directory).number(3, uint64(u.AddrAuth)).number(4, uint64(u.Congestion))
}
