package oap

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	wire "ouroboros/internal/wire/oap"
)

func TestTheTimeOfARequest(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		cfg   ServerConfig
		age   time.Duration
		taken bool
	}{
		{age: 0, taken: true},
		{age: 19_900 * ms, taken: true},
		{age: 20_000 * ms, taken: true},
		{age: 20_001*ms - 1, taken: true},
		{age: 20_001 * ms},
		{age: 20_100 * ms},
		{age: -50 * ms, taken: true},
		{age: -100 * ms, taken: true},
		{age: -101*ms + 1, taken: true},
		{age: -101 * ms},
		{age: -150 * ms},
		{age: 24 * time.Hour},
		{age: -24 * time.Hour},
		{cfg: ServerConfig{Slack: 5 * time.Second}, age: -4 * time.Second, taken: true},
		{cfg: ServerConfig{Slack: 5 * time.Second}, age: -6 * time.Second},
		{cfg: ServerConfig{MaxAge: time.Minute}, age: 59 * time.Second, taken: true},
		{cfg: ServerConfig{MaxAge: time.Minute}, age: 62 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := NewServer(tc.cfg)
			b := changed(t, func(m *wire.Message) { m.Time = uint64(time.Now().Add(-tc.age).UnixNano()) })
			_, err := s.Check("name", Security{}, b, time.Now())
			if (err == nil) != tc.taken {
				t.Errorf("%v old (%+v): %v", tc.age, tc.cfg, err)
			}
			if err != nil {
				wantIs(t, err, errno.AuthFailed)
			}
		})
	}
}

func TestTimesBeyondAllClocks(t *testing.T) {
	for _, stamp := range []uint64{0, 1, 1<<63 - 1, 1 << 63, 1<<64 - 1} {
		s := NewServer(ServerConfig{})
		b := changed(t, func(m *wire.Message) { m.Time = stamp })
		_, err := s.Check("name", Security{}, b, time.Now())
		wantIs(t, err, errno.AuthFailed)
		// A node whose clock was never set.
		_, err = s.Check("name", Security{}, b, time.Unix(-5, 0))
		if taken := stamp < 2; taken != (err == nil) {
			t.Errorf("%d in 1969: %v", stamp, err)
		}
	}
}

func TestTheWaitAfterTheArrivalDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(ServerConfig{})
		b := begin(t).Request()
		time.Sleep(19 * time.Second)
		arrived := time.Now()
		time.Sleep(time.Minute)
		if _, err := s.Check("name", Security{}, b, arrived); err != nil {
			t.Error(err)
		}
	})
}

func TestARequestIsServedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(ServerConfig{})
		b := changed(t, func(m *wire.Message) { m.Time += uint64(100 * time.Millisecond) })
		if _, err := s.Check("name", Security{}, b, time.Now()); err != nil {
			t.Fatal(err)
		}
		// As long as it is in time, and after.
		for range 300 {
			_, err := s.Check("other name", Security{}, b, time.Now())
			wantIs(t, err, errno.AuthFailed)
			time.Sleep(100 * time.Millisecond)
		}
		// The pair counts: the same id at another time is another request, and
		// so is another id at the same time.
		now := uint64(time.Now().UnixNano())
		for range 3 {
			now++
			if _, err := s.Check("name", Security{}, changed(t, func(m *wire.Message) { m.ID, m.Time = [16]byte{7}, now }), time.Now()); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Check("name", Security{}, changed(t, func(m *wire.Message) { m.Time = now }), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestWhatIsRememberedIsBoundedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(ServerConfig{Recent: 20_000})
		fresh := func() error {
			_, err := s.Check("name", Security{}, begin(t).Request(), time.Now())
			return err
		}
		for range 20_000 {
			if err := fresh(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Microsecond)
		}
		wantIs(t, fresh(), errno.NoBufs)
		if n := len(s.recent.buckets); n > 3 {
			t.Errorf("%d buckets for 2 s", n)
		}
		time.Sleep(20 * time.Second) // the first have gone
		if err := fresh(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := fresh(); err != nil {
			t.Fatal(err)
		}
		if len(s.recent.seen) != 1 || len(s.recent.buckets) != 1 || s.recent.most != 1 {
			t.Errorf("%d requests in %d buckets are left, the map was made for %d", len(s.recent.seen), len(s.recent.buckets), s.recent.most)
		}
	})
}

// What is refused for its time or its bytes takes no room.
func TestAFloodOfBadRequestsFillsNothing(t *testing.T) {
	s := NewServer(ServerConfig{Recent: 10})
	for i := range 1000 {
		b := changed(t, func(m *wire.Message) { m.Time = uint64(i) })
		s.Check("name", Security{}, b, time.Now())
		s.Check("name", Security{}, b[:35], time.Now())
	}
	if n := len(s.recent.seen); n != 0 {
		t.Errorf("%d are remembered", n)
	}
}

func TestOneOfManyEqualRequestsAtOnceIsServed(t *testing.T) {
	s := NewServer(ServerConfig{})
	for range 20 {
		b := begin(t).Request()
		var served atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := s.Check("name", Security{}, b, time.Now()); err == nil {
					served.Add(1)
				}
			})
		}
		wg.Wait()
		if n := served.Load(); n != 1 {
			t.Fatalf("%d of 20 were served", n)
		}
	}
}

func BenchmarkExchange(b *testing.B) {
	var c Client
	s := NewServer(ServerConfig{Recent: 1 << 24})
	b.ReportAllocs()
	for b.Loop() {
		a, _ := c.Begin("name", Security{})
		acc, err := s.Check("name", Security{}, a.Request(), time.Now())
		if err != nil {
			b.Fatal(err)
		}
		r, _, _ := acc.Respond()
		if _, err := a.Complete(r); err != nil {
			b.Fatal(err)
		}
	}
}
