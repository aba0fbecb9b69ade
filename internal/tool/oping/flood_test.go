package oping

import (
	"io"
	"testing"

	"ouroboros/internal/tool/clock"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/latency"
	"ouroboros/internal/tool/tooltest"
)

// flooder makes a client that is about to flood a server.
func flooder(t testing.TB, quiet bool) (roundTrip func() error) {
	h := tooltest.New(t)
	words := []string{"-l"}
	if quiet {
		words = append(words, "-Q")
	}
	s := h.Start(t, Main, "n", words...)
	s.Stdout.Await(t, "started")
	flow, err := h.Process(t, "").Alloc(t.Context(), "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{
		Options: &Options{Name: "n", Size: DefaultSize, Quiet: quiet},
		out:     console.NewOutput(io.Discard, nil),
		flow:    flow,
		clock:   clock.New(),
	}
	c.tally.rtt = latency.New()
	c.start = c.clock.Now()
	request, reply := make([]byte, c.Size), make([]byte, MaxSize)
	id := int64(0)
	return func() error {
		now := c.clock.Now()
		Packet{Type: Request, ID: uint32(id), Sent: now}.Encode(request)
		if _, err := flow.Write(request); err != nil {
			return err
		}
		_, err := c.await(t.Context(), id, now, reply)
		id++
		return err
	}
}

func TestAQuietRoundTripDoesNotAllocate(t *testing.T) {
	roundTrip := flooder(t, true)
	for range 100 { // all buffers there
		if err := roundTrip(); err != nil {
			t.Fatal(err)
		}
	}
	// Both the client and the server are counted. What happens once a second
	// is less than one in a run.
	if n := testing.AllocsPerRun(2000, func() {
		if err := roundTrip(); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	roundTrip := flooder(b, true)
	b.ReportAllocs()
	for b.Loop() {
		if err := roundTrip(); err != nil {
			b.Fatal(err)
		}
	}
}
