package enroll_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ouroboros/internal/ipcp/enroll"
	"ouroboros/internal/ipcp/ipcptest"
	wire "ouroboros/internal/wire/enroll"
	"ouroboros/irm"
)

func TestAnIPCPJoinsALayer(t *testing.T) {
	for _, kind := range []irm.IPCPType{irm.Unicast, irm.Broadcast} {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			m := enrolled(t, w, "m", layer(kind))
			j := newcomer(t, w, "j")
			checked := 0
			r, finish, err := enroll.Join(within(t, time.Minute), j.Switchboard, nil, "m", kind, func(cfg *irm.Config) error {
				checked++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(irm.NewConfig(kind, "layer"), r.Config); diff != "" || checked != 1 {
				t.Errorf("checked %d times: %s", checked, diff)
			}
			if kind == irm.Unicast && r.Peer != own || kind == irm.Broadcast && r.Peer != 0 || r.Offset != 0 || r.Raw.Layer != "layer" {
				t.Errorf("%+v", r)
			}
			synctest.Wait()
			if m.counter("enrolled") != 0 || m.serving() != 1 {
				t.Error("it is enrolled before it says so")
			}
			time.Sleep(4 * time.Second)
			finish(nil)
			synctest.Wait()
			if m.counter("enrolled") != 1 || m.counter("failed")+m.counter("garbage") != 0 || m.serving() != 0 || len(w.Flows()) != 0 {
				t.Errorf("%v, %d flows", m.enroller.Show(), len(w.Flows()))
			}
		})
	}
}

func TestTheMessagesAreThoseOfTheCImplementation(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		w.Filter(func(p ipcptest.Packet) bool {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, p.From+" "+hex.EncodeToString(p.Bytes))
			return true
		})
		enrolled(t, w, "m", func() (*wire.Config, error) {
			return enroll.ToWire(irm.NewConfig(irm.Unicast, "dhnet"), 3492930322), nil
		})
		if _, err := newcomer(t, w, "j").join(within(t, time.Minute), "m", irm.Unicast); err != nil {
			t.Fatal(err)
		}
	})
	const cepMessage = "0a0a456e726f6c6c6d656e7412034f4550180128004000"
	if len(seen) != 6 || len(seen[2]) != 22 {
		t.Fatalf("%q", seen)
	}
	id := seen[2][6:]
	// Midnight of 2000-01-01 is 0x386d4380: when synctest begins.
	want := []string{"j " + cepMessage, "m " + cepMessage, "j 0a08" + id,
		"m 0a08" + id + "108087b5c303" + "1800" + "2000" + "2a430a090a0564686e6574100110011a340a1408041008183c220c" +
			"0800120808001004180f203c121808001214080310081880a3052084072884073092c6c7810d18002001",
		"j 0a08" + id + "1000", "j 0a08" + id + "1000"}
	if !slices.Equal(seen, want) {
		t.Errorf("%q\n%q", seen, want)
	}
}

func TestManyJoinAtATimeAndThroughALayerName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := ipcptest.NewWorld(t)
		m := enrolled(t, w, "m", layer(irm.Unicast))
		n := enrolled(t, w, "n", layer(irm.Unicast))
		w.Bind("m", "layer")
		w.Bind("n", "layer")
		var wg sync.WaitGroup
		for i := range 100 {
			j := newcomer(t, w, fmt.Sprint("j", i))
			wg.Go(func() {
				r, finish, err := enroll.Join(within(t, time.Minute), j.Switchboard, nil, "layer", irm.Unicast, nil)
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Second)
				finish(nil)
				if r.Config.Layer != "layer" {
					t.Errorf("%+v", r.Config)
				}
			})
		}
		begun := time.Now()
		wg.Wait()
		synctest.Wait()
		if a, b := m.counter("enrolled"), n.counter("enrolled"); a+b != 100 || a < 10 || b < 10 || time.Since(begun) > 2*time.Second {
			t.Errorf("%d and %d after %v", a, b, time.Since(begun))
		}
	})
}

// Each packet in turn is lost, to and from an enroller that waits without an end
// and hears of no deallocation: it must be free again, and the joiner enrolled.
func TestNoLossLeavesAnEnrollerWaiting(t *testing.T) {
	for lost := range 6 {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			w.Mute(true)
			o := other{t, w.Env("o")}
			s := o.serve(func(r wire.Request) []byte {
				a := &wire.Response{ID: r.ID, Config: enroll.ToWire(irm.NewConfig(irm.Unicast, "layer"), own)}
				a.SetTime(time.Now())
				return put(a)
			})
			var n atomic.Int32
			w.Filter(func(ipcptest.Packet) bool { return n.Add(1) != int32(lost+1) })
			if _, err := newcomer(t, w, "j").join(within(t, 20*time.Second), "o", irm.Unicast); err != nil {
				t.Errorf("packet %d: %v", lost, err)
			}
			begun := time.Now()
			if _, err := newcomer(t, w, "k").join(within(t, 20*time.Second), "o", irm.Unicast); err != nil || time.Since(begun) > time.Millisecond {
				t.Errorf("packet %d: the next one after %v: %v", lost, time.Since(begun), err)
			}
			synctest.Wait()
			good := 0
			for _, a := range s.take() {
				if a.Result == 0 {
					good++
				}
			}
			if good != 2 || len(w.Flows()) != 0 {
				t.Errorf("packet %d: %d enrolled, %d flows are left", lost, good, len(w.Flows()))
			}
		})
	}
}

func TestEveryLossIsMadeUp(t *testing.T) {
	for lost := range 6 {
		for _, mute := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := ipcptest.NewWorld(t)
				w.Mute(mute)
				m := enrolled(t, w, "m", layer(irm.Unicast))
				var n atomic.Int32
				w.Filter(func(ipcptest.Packet) bool { return n.Add(1) != int32(lost+1) })
				begun := time.Now()
				if _, err := newcomer(t, w, "j").join(within(t, 20*time.Second), "m", irm.Unicast); err != nil || time.Since(begun) > 2*time.Second {
					t.Errorf("packet %d: after %v: %v", lost, time.Since(begun), err)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if m.counter("enrolled") != 1 || m.serving() != 0 || len(w.Flows()) != 0 {
					t.Errorf("packet %d: %v, %d flows", lost, m.enroller.Show(), len(w.Flows()))
				}
			})
		}
	}
}

func FuzzExchange(f *testing.F) {
	a := &wire.Response{Config: enroll.ToWire(irm.NewConfig(irm.Unicast, "layer"), own)}
	f.Add(put(&wire.Request{}), put(&wire.Ack{}), put(a), false)
	f.Add([]byte{0x0a, 0}, []byte{0x0a, 0, 0x10, 0}, put(&wire.Response{Response: -1}), true)
	f.Fuzz(func(t *testing.T, first, second, response []byte, fit bool) {
		synctest.Test(t, func(t *testing.T) {
			w := ipcptest.NewWorld(t)
			m := enrolled(t, w, "m", layer(irm.Unicast))
			o := other{t, w.Env("o")}
			c := o.call("m")
			say(c, first)
			say(c, second)
			time.Sleep(10 * time.Second)
			c.Close()

			s := o.serve(func(r wire.Request) []byte {
				b := slices.Clone(response)
				if fit && len(b) > 9 {
					copy(b[2:10], r.ID[:])
				}
				return b
			})
			for _, kind := range []irm.IPCPType{irm.Unicast, irm.Broadcast} {
				j := newcomer(t, w, "j"+kind.String())
				r, err := j.join(within(t, 3*time.Second), "o", kind)
				if err == nil && (r.Config.Type != kind || r.Config.Validate() != nil) {
					t.Errorf("%x is taken as %+v", response, r.Config)
				}
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			s.take()
			if m.serving() != 0 || len(w.Flows()) != 0 {
				t.Errorf("serving %d, %d flows are left", m.serving(), len(w.Flows()))
			}
		})
	})
}
