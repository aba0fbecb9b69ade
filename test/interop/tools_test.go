package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ouroboros/test/host"
)

// found fails unless the text has a part that matches.
func found(t *testing.T, what, text, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(text) {
		t.Errorf("%s: nothing matches %q in:\n%s", what, pattern, text)
	}
}

func TestOpingGoesThroughEveryLayer(t *testing.T) {
	each(t, allPeers, func(t *testing.T, l layer, p peers) {
		w := join(t, l, p)
		w.serve(t, "oping", "-Q")
		r := w.tool(t, "Failed to allocate flow", "oping", "-n", "oping", "-c", "20", "-i", "5ms")
		if r.Code != 0 {
			t.Errorf("exit %d: %s", r.Code, r.Stderr)
		}
		found(t, "oping", r.Stdout, `64 bytes from oping: seq=19 time=`)
		found(t, "oping", r.Stdout, `20 packets transmitted, 20 received, 0 out-of-order, 0% packet loss`)
		w.healthy(t)
	})
}

func TestOpingFloodsOverAReliableFlow(t *testing.T) {
	each(t, allPeers, func(t *testing.T, l layer, p peers) {
		whole(t, l, p, func(w *world) error { return flood(w, 1000) })
	})
}

// flood has oping send a hundred pings over a reliable flow, the next when the
// answer is there.
func flood(w *world, size int) error {
	args := []string{"-n", "oping", "-c", "100", "-q", "data", "-s", strconv.Itoa(size), "-Q"}
	var r host.Result
	if n, ok := w.client.(*host.Reference); ok {
		// Its reader can sleep on what has come, unless it reads busily.
		r = n.RunFor(w.t, 20*time.Second, "oping", append(args, "-F")...)
	} else {
		r = w.tool(w.t, "Failed to allocate flow", "oping", append(args, "-f")...)
	}
	if !strings.Contains(r.Stdout, "100 packets transmitted, 100 received, 0 out-of-order, 0% packet loss") {
		return fmt.Errorf("exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	return nil
}

func TestOechoIsAnswered(t *testing.T) {
	each(t, allPeers, func(t *testing.T, l layer, p peers) {
		w := join(t, l, p)
		s := w.serve(t, "oecho")
		r := w.tool(t, "Failed to allocate flow", "oecho")
		if r.Code != 0 {
			t.Errorf("exit %d: %s", r.Code, r.Stderr)
		}
		found(t, "oecho", r.Stdout, `Server replied with Client says hi!`)
		s.Out.Await(t, "Message from client is Client says hi!")
		w.healthy(t)
	})
}

func TestOcbrArrives(t *testing.T) {
	each(t, allPeers, func(t *testing.T, l layer, p peers) {
		w := join(t, l, p)
		s := w.serve(t, "ocbr")
		r := w.tool(t, "Failed to allocate flow", "ocbr", "-n", "ocbr", "-d", "2", "-s", "1000", "-r", "1M")
		found(t, "ocbr", r.Stdout+r.Stderr, `sent statistics:\s+[1-9][0-9]* packets`)
		s.Out.Await(t, "timed out")
		found(t, "ocbr server", s.Out.String(), `Flow\s+\d+:\s+[1-9][0-9]* packets`)
		w.healthy(t)
	})
}

func TestOperfMeasures(t *testing.T) {
	each(t, allPeers, func(t *testing.T, l layer, p peers) {
		w := join(t, l, p)
		s := w.serve(t, "operf")
		r := w.tool(t, "Failed to allocate flow", "operf", "-n", "operf", "-t", "bi", "-d", "1s", "-s", "1000", "-r", "1M")
		found(t, "operf", r.Stdout, `Test finished`)
		if p.client == reference {
			// It sends nothing (its loop is inverted): the rest of the exchange
			// is what there is to see.
			found(t, "operf server", s.Out.String(), `bidirectional`)
			w.healthy(t)
			return
		}
		found(t, "operf", r.Stdout, `[1-9][0-9]* packets transmitted, [1-9][0-9]* received, [0-9]% packet loss`)
		if strings.Contains(r.Stdout, "Invalid message") {
			t.Errorf("what came back was not what was sent:\n%s", r.Stdout)
		}
		w.healthy(t)
	})
}

func TestOvpnCarriesIPBetweenTwoHosts(t *testing.T) {
	for what, missing := range map[string]func() error{
		"/dev/net/tun (kernel module tun)": func() error { _, err := os.Stat("/dev/net/tun"); return err },
		"ping":                             func() error { _, err := exec.LookPath("ping"); return err },
	} {
		if missing() != nil {
			t.Skipf("there is no %s", what)
		}
	}
	each(t, allPeers, func(t *testing.T, l layer, p peers) {
		whole(t, l, p, func(w *world) error {
			s := w.server.Go(w.t, nil, "ovpn", "-i", "10.99.0.2", "-m", "255.255.255.0")
			w.server.Bind(w.t, s, "ovpn")
			w.register(w.t, "ovpn")
			w.client.Go(w.t, nil, "ovpn", "-n", "ovpn", "-i", "10.99.0.1", "-m", "255.255.255.0")
			// The C implementation says nothing into a pipe before its end.
			var out []byte
			var err error
			for range 50 {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				out, err = w.a.Command(ctx, "ping", "-c", "2", "-i", "0.2", "-W", "1", "-s", "1200", "10.99.0.2").CombinedOutput()
				cancel()
				if err == nil {
					return nil
				}
				time.Sleep(100 * time.Millisecond)
			}
			return fmt.Errorf("ping: %w\n%s", err, out)
		})
	})
}
