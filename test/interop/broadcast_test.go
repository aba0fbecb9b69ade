package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ouroboros/test/host"
	"ouroboros/test/relay"
)

// hearing is a layer in which everybody hears everybody, with a reader at each
// host.
type hearing struct {
	*network
	readers []*host.Process
	said    int
}

// attend makes a broadcast layer and has a program listen at each host.
func attend(t testing.TB, who arrangement, cables pairs) *hearing {
	t.Helper()
	h := &hearing{network: cabled(t, "broadcast", who, cables)}
	h.join(t)
	for _, m := range h.hosts {
		p := m.Go(t, nil, "obc", "--listen", "--name", "net")
		p.Out.Await(t, "New flow")
		h.readers = append(h.readers, p)
	}
	return h
}

// say has a host say something new.
func (h *hearing) say(t testing.TB, from *member) (message string) {
	t.Helper()
	h.said++
	message = fmt.Sprintf("%s says %d", from.name, h.said)
	words := []string{"--name", "net", "--message", message}
	ref, ok := from.Node.(*host.Reference)
	for try := 1; ok; try++ { // its daemon can forget who joins
		r := ref.RunFor(t, 5*time.Second, "obc", words...)
		if r.Code == 0 {
			return message
		}
		if try == tries {
			t.Fatalf("%s: obc: exit %d\n%s%s", from.name, r.Code, r.Stdout, r.Stderr)
		}
	}
	from.OK(t, "obc", words...)
	return message
}

// copies says how often the reader at a host has read a message.
func (h *hearing) copies(at int, message string) int {
	return strings.Count(h.readers[at].Out.String(), "Message is "+message+".")
}

// heard waits a moment until all readers have read a message.
func (h *hearing) heard(message string, wait time.Duration) bool {
	for end := time.Now().Add(wait); ; time.Sleep(20 * time.Millisecond) {
		all := true
		for i := range h.readers {
			all = all && h.copies(i, message) > 0
		}
		if all || time.Now().After(end) {
			return all
		}
	}
}

// eachHearsEach has each host say something until all have heard it. What is said
// before all connections carry is lost. It gives all that was said.
func (h *hearing) eachHearsEach(t testing.TB) (all []string) {
	t.Helper()
	for _, m := range h.hosts {
		host.Eventually(t, "all hear "+m.name, func() bool {
			message := h.say(t, m)
			all = append(all, message)
			return h.heard(message, 2*time.Second)
		})
	}
	return all
}

// A line, anybody at any place: each message arrives once at each host, also at
// that of the writer, where the reader is another program.
func TestEachHearsEachInABroadcastLayer(t *testing.T) {
	arranged(t, arrangements(3), func(t testing.TB, who arrangement) {
		h := attend(t, who, chain(3))
		for _, message := range h.eachHearsEach(t) {
			for i := range h.readers {
				if n := h.copies(i, message); n > 1 {
					t.Errorf("%q was read %d times at %s (%s)", message, n, h.hosts[i].name, h.hosts[i].who)
				}
			}
		}
		h.healthy(t)
	})
}

// ring is three hosts, each with a cable to both others.
var ring = append(chain(3), [2]int{0, 2})

// carried is the number of frames that have passed the cables.
func (n *network) carried() (frames uint64) {
	for _, l := range n.lines {
		frames += l.relay.Stats(relay.AtoB).Taken + l.relay.Stats(relay.BtoA).Taken
	}
	return frames
}

// rate is how many frames a second pass the cables now.
func (n *network) rate(over time.Duration) int {
	begin, before := time.Now(), n.carried()
	time.Sleep(over)
	return int(float64(n.carried()-before) / time.Since(begin).Seconds())
}

// A ring with members of the C implementation in it is a loop, which they would
// feed for ever with a single message. Members of ours end it: there is a burst of
// copies, and then there is a line.
func TestARingOfBothKindsDoesNotMelt(t *testing.T) {
	const (
		burst = 2000 // copies of one message; the C implementation alone makes thousands a second
		quiet = 100  // frames a second when nobody says anything: keep-alives and the tree
	)
	arranged(t, arrangements(3), func(t testing.TB, who arrangement) {
		h := attend(t, who, ring)
		var all []string
		for range 10 {
			for _, m := range h.hosts {
				all = append(all, h.say(t, m))
			}
		}
		begin := time.Now()
		var rate int
		host.Eventually(t, "the storm ends", func() bool {
			rate = h.rate(time.Second)
			return rate < quiet
		})
		t.Logf("after %v there are %d frames a second; %d have passed", time.Since(begin).Round(100*time.Millisecond), rate, h.carried())
		most := 0
		for _, message := range all {
			for i := range h.readers {
				most = max(most, h.copies(i, message))
			}
		}
		t.Logf("a message was read %d times at most", most)
		if mixed(h.network) && most > burst || !mixed(h.network) && most > 1 {
			t.Errorf("a message was read %d times", most)
		}
		all = h.eachHearsEach(t)
		if rate := h.rate(2 * time.Second); rate > quiet {
			t.Errorf("with the loop closed there are %d frames a second", rate)
		}
		for i := range h.readers {
			if n := h.copies(i, all[len(all)-1]); n > burst {
				t.Errorf("%q was read %d times at %s", all[len(all)-1], n, h.hosts[i].name)
			}
		}
		h.healthy(t)
	})
}
