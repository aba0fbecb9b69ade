package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/packet"
	wire "ouroboros/internal/wire/dt"
)

func TestANameOnTwoMembersIsSharedAndOutlivesOne(t *testing.T) {
	for _, n := range []int{5, 30} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t)
			defer b.close()
			all := b.grow(n)
			all[0].reg("twice")
			all[1].reg("twice")
			time.Sleep(5 * time.Second)
			first := make(map[wire.Addr]int)
			for _, m := range all[2:] {
				m.finds("twice", all[0], all[1])
				for range 20 {
					if l, err := m.query("twice"); err != nil {
						t.Error(err)
					} else {
						first[l[0]]++
					}
				}
			}
			sum := first[all[0].addr] + first[all[1].addr]
			if first[all[0].addr] < sum/5 || first[all[1].addr] < sum/5 {
				t.Errorf("shared as %v", first)
			}
			// What is here and elsewhere is found elsewhere.
			all[0].finds("twice", all[1])
			b.remove(all[0])
			time.Sleep(time.Second)
			for _, m := range all[2:] {
				if l, err := m.query("twice"); err != nil || l[0] != all[1].addr {
					t.Errorf("found at %v: %v", l, err)
				}
			}
			time.Sleep(2*defaultReplicate + slack + time.Second)
			all[2].finds("twice", all[1])
		})
	}
}

func TestTheOwnAddressIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(3)
		c := b.addCrude(all[0])
		time.Sleep(time.Second)
		// A crude member gives both, the own one first.
		c.mu.Lock()
		c.foreign[key(b.hash("both"))] = []wire.Addr{all[0].addr, all[1].addr}
		c.foreign[key(b.hash("self"))] = []wire.Addr{all[0].addr}
		c.mu.Unlock()
		all[0].finds("both", all[1])
		all[0].lacks("self")
	})
}

func TestAnAddressThatFailedIsTriedLastForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(30)
		all[0].reg("twice")
		all[1].reg("twice")
		time.Sleep(5 * time.Second)
		for _, m := range all[2:] {
			m.dir.Failed(b.hash("twice"), all[0].addr)
			m.dir.Failed(b.hash("twice")[1:], all[0].addr) // is nothing
			for range 10 {
				l, err := m.query("twice")
				if err != nil || l[0] != all[1].addr {
					t.Errorf("found at %v: %v", l, err)
				}
			}
		}
		time.Sleep(failureLife + time.Second)
		seen := make(map[wire.Addr]bool)
		for range 50 {
			l, err := all[2].query("twice")
			if err != nil {
				t.Fatal(err)
			}
			seen[l[0]] = true
		}
		if len(seen) != 2 {
			t.Errorf("after a while first are %v", seen)
		}
		all[0].reg("once")
		time.Sleep(time.Second)
		all[3].dir.Failed(b.hash("once"), all[0].addr)
		all[3].finds("once", all[0]) // better than nothing
	})
}

func TestResultsAreKeptForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(40)
		all[0].reg("there")
		time.Sleep(5 * time.Second)
		asker := all[3:][slices.IndexFunc(all[3:], func(m *member) (far bool) {
			m.inside(func(d *Directory) { far = d.values.keys[key(b.hash("there"))] == nil })
			return far
		})]
		asker.finds("there", all[0])
		before := asker.counts().lookups
		asker.finds("there", all[0])
		if after := asker.counts().lookups; after != before {
			t.Errorf("%d lookups more", after-before)
		}
		asker.dir.Failed(b.hash("there"), all[0].addr)
		asker.finds("there", all[0])
		if after := asker.counts().lookups; after != before+1 {
			t.Errorf("%d lookups more after a failure", after-before)
		}
		time.Sleep(failureLife)
		all[0].unreg("there")
		all[2].reg("there")
		time.Sleep(resultLife)
		if l, err := asker.query("there"); err != nil || !slices.Contains(l, all[2].addr) {
			t.Errorf("moved: found at %v: %v", l, err)
		}
	})
}

func TestThoseWhoAskForOneNameShareALookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(5)
		before := all[0].counts().lookups
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { all[0].lacks("nothing") })
		}
		wg.Wait()
		if n := all[0].counts().lookups - before; n != 1 {
			t.Errorf("%d lookups", n)
		}
	})
}

func TestTooManyLookupsAreRefusedAndSayWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(3)
		b.set(func() { b.loss = 1 })
		var wg sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		for i := range maxLookups + 100 {
			wg.Go(func() {
				_, err := all[0].query(fmt.Sprint("name ", i))
				if errors.Is(err, errno.NoBufs) {
					mu.Lock()
					refused++
					mu.Unlock()
				} else if err == nil {
					t.Error("found")
				}
			})
		}
		wg.Wait()
		if refused < 100 || refused > 200 {
			t.Errorf("%d refused", refused)
		}
		b.set(func() { b.loss = 0 })
		time.Sleep(time.Minute)
		all[0].lacks("name 1")
		all[0].sound()
	})
}

func TestAQueryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		b.delay = 300 * time.Millisecond
		defer b.close()
		all := b.grow(2)
		all[1].reg("there")
		time.Sleep(10 * time.Second)
		all[0].inside(func(d *Directory) { d.dropValue(key(b.hash("there")), d.values.get(key(b.hash("there")), all[1].addr)) })
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := all[0].dir.Query(ctx, b.hash("there")); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 200*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.Sleep(time.Second)
		began = time.Now()
		all[0].finds("there", all[1]) // the next one has the result
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		if _, err := all[0].dir.Query(ctx, b.hash("there")); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestAHashOfAnotherLengthIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		d := b.add(nil).dir
		for _, n := range []int{0, 31, 33, 64} {
			_, err := d.Query(context.Background(), make([]byte, n))
			if !errors.Is(err, errno.Invalid) || !errors.Is(d.Reg(context.Background(), make([]byte, n)), errno.Invalid) ||
				!errors.Is(d.Unreg(context.Background(), make([]byte, n)), errno.Invalid) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	})
}

func TestCloseEndsWhatWaitsAndWhatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		all := b.grow(3)
		b.set(func() { b.loss = 1 })
		ended := make(chan error)
		go func() {
			_, err := all[0].query("nothing")
			ended <- err
		}()
		time.Sleep(50 * time.Millisecond)
		b.close()
		if err := <-ended; !errors.Is(err, errno.IPCPState) {
			t.Error(err)
		}
		d := all[0].dir
		if _, err := d.Query(context.Background(), b.hash("x")); !errors.Is(err, errno.IPCPState) {
			t.Error(err)
		}
		if err := d.Reg(context.Background(), b.hash("x")); !errors.Is(err, errno.IPCPState) {
			t.Error(err)
		}
		d.Failed(b.hash("x"), 1)
		d.RoutesChanged()
		d.RoutesChanged()
		for range queueLen + 10 {
			d.Receive([]*packet.Buffer{packet.Get(0)})
		}
		if d.Show()["error"] == nil {
			t.Error("a closed directory shows itself")
		}
		d.Close()
		never := New(Config{Net: all[1], HashLen: 32})
		never.Close()
		never.Start()
		never.Close()
		panicked := New(Config{Net: all[1], HashLen: 32, Go: func(f func()) {
			go func() {
				defer func() { _ = recover() }()
				f()
			}()
		}})
		panicked.Start()
		if err := panicked.call(context.Background(), func() { panic("wrong") }); !errors.Is(err, errno.IPCPState) {
			t.Error(err)
		}
		panicked.Close()
	})
}

func TestShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(4)
		all[0].reg("there")
		time.Sleep(time.Second)
		mine, theirs := all[0].dir.Show(), all[1].dir.Show()
		if l := mine["own"].([]map[string]any); len(l) != 1 || l[0]["hash"] != fmt.Sprintf("%x", b.hash("there")) {
			t.Errorf("own names: %v", l)
		}
		l := theirs["values"].([]map[string]any)
		if len(l) != 1 || !slices.Equal(l[0]["addresses"].([]string), []string{all[0].addr.String()}) ||
			l[0]["expires_s"].(int64) < int64((2*defaultReplicate).Seconds()) {
			t.Errorf("values: %v", l)
		}
		if c := theirs["contacts"].([]map[string]any); len(c) != 3 || c[0]["confirmed"] != true || c[0]["rtt_ms"].(float64) < 2 {
			t.Errorf("contacts: %v", c)
		}
	})
}

func TestRegisteringAndUnregisteringMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(3)
		for range 3 {
			all[0].reg("again")
		}
		time.Sleep(10 * time.Second)
		b.sent()
		all[0].reg("again")
		synctest.Wait()
		if n := b.stores(); n != 2 {
			t.Errorf("%d STOREs when it is registered again", n)
		}
		for range 3 {
			all[0].unreg("again")
		}
		if n := len(all[0].dir.Show()["own"].([]map[string]any)); n != 0 {
			t.Errorf("%d names are left", n)
		}
	})
}

func TestManyNamesAtOnceArePacedAndAllArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		defer b.close()
		all := b.grow(5)
		for _, n := range names(2000, "many") {
			all[0].reg(n)
		}
		synctest.Wait()
		if n := b.stores(); n > int(storing.burst)+10 {
			t.Errorf("%d STOREs at once", n)
		}
		time.Sleep(30 * time.Second)
		for _, m := range all[1:] {
			m.inside(func(d *Directory) {
				if d.values.n != 2000 {
					t.Errorf("%d values", d.values.n)
				}
			})
		}
		late := b.add(all[1])
		time.Sleep(10 * time.Second)
		late.inside(func(d *Directory) {
			if d.values.n != 2000 {
				t.Errorf("who comes later has %d values", d.values.n)
			}
		})
	})
}
