package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ouroboros/internal/wire/lsa"
	"ouroboros/test/relay"
)

// tap keeps what flows of a line have carried, in one direction.
type tap struct {
	mu       sync.Mutex
	payloads [][]byte
}

// listen taps a line in the direction from one of its ends.
func (l *line) listen(from *member) *tap {
	tap := &tap{}
	d := relay.AtoB
	if l.ends[1] == from {
		d = relay.BtoA
	}
	payload := dix.payload
	l.relay.Watch(d, func(frame []byte) {
		if p := payload(frame); p != nil {
			tap.mu.Lock()
			defer tap.mu.Unlock()
			tap.payloads = append(tap.payloads, slices.Clone(p))
		}
	})
	return tap
}

// record writes what passes a line to a file, when OUROBOROS_CAPTURE names a
// directory. It takes tcpdump.
func (l *line) record(t testing.TB) {
	dir := os.Getenv("OUROBOROS_CAPTURE")
	if dir == "" {
		return
	}
	dir = filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "_"))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, fmt.Sprintf("%d-%s.pcap", time.Now().Unix(), l.layer))
	cmd := l.ends[0].space.Command(context.Background(), "tcpdump", "-U", "-q", "-i", l.layer, "-w", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
}

// dix is the layer of the lines.
var dix = layers[slices.IndexFunc(layers, func(l layer) bool { return l.name == "eth-dix" })]

// all gives what has passed, in order.
func (t *tap) all() [][]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.payloads)
}

// count is how many were of a length.
func (t *tap) count(length int) (n int) {
	for _, p := range t.all() {
		if len(p) == length {
			n++
		}
	}
	return n
}

// updates are the link-state updates among it.
func (t *tap) updates() (l []lsa.Update) {
	for _, p := range t.all() {
		if u, ok := lsa.Parse(p); ok && u.Valid() {
			l = append(l, u)
		}
	}
	return l
}

// told are the links that it has told of, as "from>to", but for those that are
// withdrawn.
func (t *tap) told() (l []string) {
	for _, u := range t.updates() {
		if !u.Seq.Speaks(0) || !u.Seq.Withdrawn() {
			l = append(l, u.Src.String()+">"+u.Dst.String())
		}
	}
	slices.Sort(l)
	return slices.Compact(l)
}
