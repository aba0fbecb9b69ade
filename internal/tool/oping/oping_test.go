package oping

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"ouroboros"
	"ouroboros/internal/leak"
	"ouroboros/internal/tool/tooltest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// masked replaces the numbers that differ from run to run.
func masked(s string) string {
	s = regexp.MustCompile(`\[\d+\.\d{6}\]`).ReplaceAllString(s, "[TIME]")
	s = regexp.MustCompile(`\d+\.\d{3}(/\d+\.\d{3}/\d+\.\d{3}/(\d+\.\d{3}|NaN))? (µs|ms)`).ReplaceAllString(s, "T")
	return s
}

func TestPing(t *testing.T) {
	h := tooltest.New(t)
	server := h.Start(t, Main, "n5", "-l")
	client := h.Start(t, Main, "", "-n", "n5", "-c", "3", "-i", "10", "-s", "80")
	if code := client.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	want := `Pinging n5 with 80 bytes of data (3 packets):

80 bytes from n5: seq=0 time=T
80 bytes from n5: seq=1 time=T
80 bytes from n5: seq=2 time=T

--- n5 ping statistics ---
3 packets transmitted, 3 received, 0 out-of-order, 0% packet loss, time: T
rtt min/avg/max/mdev = T
`
	if got := masked(client.Stdout.String()); got != want {
		t.Errorf("client:\n%s", got)
	}
	server.Stdout.Await(t, "Flow 64 deallocated.")
	server.Stop()
	if code := server.Wait(); code != 0 {
		t.Errorf("server: exit code %d", code)
	}
	want = `Ouroboros ping server started.
New flow 64.
Received 80 bytes on fd 64.
Received 80 bytes on fd 64.
Received 80 bytes on fd 64.
Flow 64 deallocated.

--- ping server statistics ---
1 flows, 3 requests, 3 replies, 0 dropped, 0 failed, 0 invalid
`
	if got := server.Stdout.String(); got != want {
		t.Errorf("server:\n%s", got)
	}
}

func TestFloods(t *testing.T) {
	for _, server := range []string{"-l -Q", "-l -Q --poll", "-l -Q --busy"} {
		for _, mode := range []string{"-f", "-F"} {
			t.Run(server+" "+mode, func(t *testing.T) {
				h := tooltest.New(t)
				s := h.Start(t, Main, "n", strings.Fields(server)...)
				c := h.Start(t, Main, "", "-n", "n", mode, "-c", "100", "-Q")
				if code := c.Wait(); code != 0 {
					t.Errorf("exit code %d", code)
				}
				if got := c.Stdout.String(); !strings.HasPrefix(got, "\n--- n ping statistics ---\n100 packets transmitted, 100 received, 0 out-of-order, 0% packet loss") {
					t.Errorf("got:\n%s", got)
				}
				s.Stop()
				s.Wait()
				if got := s.Stdout.String(); !strings.Contains(got, "1 flows, 100 requests, 100 replies, 0 dropped, 0 failed, 0 invalid\n") {
					t.Errorf("server:\n%s", got)
				}
			})
		}
	}
}

func TestAFloodPrintsItsReplies(t *testing.T) {
	h := tooltest.New(t)
	h.Start(t, Main, "n", "-l", "-Q")
	c := h.Start(t, Main, "", "-n", "n", "-F", "-c", "2", "-D")
	c.Wait()
	want := `Pinging n with 64 bytes of data (2 packets, busy-poll):

[TIME] 64 bytes from n: seq=0 time=T
[TIME] 64 bytes from n: seq=1 time=T

--- n ping statistics ---
`
	if got := masked(c.Stdout.String()); !strings.HasPrefix(got, want) {
		t.Errorf("got:\n%s", got)
	}
}

func TestABusyServerEndsWithItsFlow(t *testing.T) {
	h := tooltest.New(t)
	s := h.Start(t, Main, "n", "-l", "--busy")
	h.Start(t, Main, "", "-n", "n", "-c", "1", "-i", "0").Wait()
	if code := s.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := s.Stdout.String(); !strings.HasPrefix(got, "Ouroboros ping server started. [busy-poll]\nNew flow 64 (busy-poll).\n") {
		t.Errorf("got:\n%s", got)
	}
}

func TestWithoutAServer(t *testing.T) {
	h := tooltest.New(t)
	c := h.Start(t, Main, "", "-n", "nowhere")
	if code := c.Wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if got := c.Stderr.String(); !strings.HasPrefix(got, "Failed to allocate flow: -1007.\n  ") {
		t.Errorf("got:\n%s", got)
	}
}

func TestJSONOfAClientAndAServer(t *testing.T) {
	h := tooltest.New(t)
	s := h.Start(t, Main, "n", "-l", "--json")
	c := h.Start(t, Main, "", "-n", "n", "-c", "5", "-i", "1", "--json", "--histogram", "-s", "3")
	c.Wait()
	var r result
	if err := json.Unmarshal([]byte(c.Stdout.String()), &r); err != nil {
		t.Fatalf("%v in %q", err, c.Stdout.String())
	}
	if r.Sent != 5 || r.Received != 5 || r.RTT == nil || r.RTT.Count != 5 || len(r.RTT.Histogram) == 0 || r.End != "count" || r.Size != 64 {
		t.Errorf("got %+v", r)
	}
	if got := c.Stderr.String(); got != "Packet size set to 64 bytes.\n" {
		t.Errorf("stderr %q", got)
	}
	s.Stdout.Await(t, `"end"`)
	s.Stop()
	s.Wait()
	var kinds []string
	for line := range strings.Lines(s.Stdout.String()) {
		var e struct {
			Event, Reason string
			FD, Replies   int
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		kinds = append(kinds, e.Event)
		if e.Event == "end" && (e.Replies != 5 || e.Reason != "deallocated" || e.FD != 64) {
			t.Errorf("got %s", line)
		}
	}
	if got := fmt.Sprint(kinds); got != "[started flow end stopped]" {
		t.Errorf("got %s", got)
	}
}

// requests reads requests of a client by hand, and answers each by reply.
func requests(t *testing.T, node *ouroboros.Client, reply func(f *ouroboros.Flow, request []byte)) {
	f, err := node.Accept(t.Context())
	if err != nil {
		return
	}
	defer f.Close()
	f.SetFlags(ouroboros.ReadWrite | ouroboros.NoPartialRead)
	for {
		b := make([]byte, MaxSize)
		n, err := f.Read(b)
		if err != nil {
			return
		}
		reply(f, b[:n])
	}
}

// against runs a client with a server made by hand, in virtual time.
func against(t *testing.T, words string, reply func(f *ouroboros.Flow, request []byte), check func(c *tooltest.Run)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := tooltest.New(t)
		node := h.Process(t, "n")
		go requests(t, node, reply)
		c := h.Start(t, Main, "", append([]string{"-n", "n"}, strings.Fields(words)...)...)
		if code := c.Wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		check(c)
	})
}

func contains(t *testing.T, c *tooltest.Run, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(c.Stdout.String(), p) {
			t.Errorf("%q is missing in:\n%s", p, c.Stdout.String())
		}
	}
}

func TestLossIsCounted(t *testing.T) {
	n := 0
	against(t, "-c 10 -i 100", func(f *ouroboros.Flow, b []byte) {
		if n++; n%10 == 3 || n%10 == 6 || n%10 == 9 {
			return
		}
		makeReply(b)
		f.Write(b)
	}, func(c *tooltest.Run) {
		contains(t, c, "10 packets transmitted, 7 received, 0 out-of-order, 30% packet loss", "Server timed out.")
	})
}

func TestASilentServerTimesOut(t *testing.T) {
	against(t, "-c 10 -i 1400", func(*ouroboros.Flow, []byte) {}, func(c *tooltest.Run) {
		// A read waits for the interval in whole seconds and 2 s more.
		contains(t, c, "Server timed out.\n", "2 packets transmitted, 0 received, 0 out-of-order, 100% packet loss, time: 3000.000 ms\n")
		if strings.Contains(c.Stdout.String(), "rtt") {
			t.Error("times of nothing")
		}
	})
}

func TestAFloodGoesOnAfterLoss(t *testing.T) {
	n := 0
	against(t, "-c 5 -f", func(f *ouroboros.Flow, b []byte) {
		if n++; n == 2 || n == 3 {
			return
		}
		makeReply(b)
		f.Write(b)
	}, func(c *tooltest.Run) {
		contains(t, c, "5 packets transmitted, 3 received, 0 out-of-order, 40% packet loss, time: 2000.000 ms\n")
	})
}

func TestAFloodOfASilentServerEnds(t *testing.T) {
	against(t, "-f", func(*ouroboros.Flow, []byte) {}, func(c *tooltest.Run) {
		contains(t, c, "Server timed out.\n", "6 packets transmitted, 0 received")
	})
}

func TestDisorderAndRepetition(t *testing.T) {
	var held [][]byte
	against(t, "-c 4 -i 10", func(f *ouroboros.Flow, b []byte) {
		makeReply(b)
		if held = append(held, b); len(held) < 4 {
			return
		}
		for _, i := range []int{1, 0, 1, 3, 3, 2} {
			f.Write(held[i])
		}
	}, func(c *tooltest.Run) {
		contains(t, c,
			"seq=1 time=20.000 ms\n", "seq=0 time=30.000 ms [out-of-order]\n", "seq=1 time=20.000 ms [duplicate]\n",
			"seq=3 time=0.000 µs\n", "seq=3 time=0.000 µs [duplicate]\n", "seq=2 time=10.000 ms [out-of-order]\n",
			"4 packets transmitted, 4 received, 2 out-of-order, 2 duplicates, 0% packet loss, time: 40.000 ms\n")
	})
}

func TestGarbageIsNoReply(t *testing.T) {
	against(t, "-c 1 -i 10", func(f *ouroboros.Flow, b []byte) {
		bad := func(change func(b []byte) []byte) {
			c := append([]byte(nil), b...)
			makeReply(c)
			f.Write(change(c))
		}
		bad(func(b []byte) []byte { return b[:3] })
		bad(func(b []byte) []byte { return b[:headerSize-1] })
		bad(func(b []byte) []byte { return b[:MinSize-1] })
		bad(func(b []byte) []byte { return append(b, make([]byte, 2*MaxSize)...) })
		bad(func(b []byte) []byte { b[3] = 0; return b })
		bad(func(b []byte) []byte { b[3] = 7; return b })
		bad(func(b []byte) []byte { b[15] = 1; return b }) // a time far ahead
		bad(func(b []byte) []byte { clear(b[8:24]); return b })
		bad(func(b []byte) []byte { b[7] = 1; return b })
		makeReply(b)
		f.Write(b)
	}, func(c *tooltest.Run) {
		got := c.Stdout.String()
		if n := strings.Count(got, "Invalid message on fd 64.\n"); n != 8 {
			t.Errorf("%d invalid messages in:\n%s", n, got)
		}
		contains(t, c, "Invalid id.\n", "1 packets transmitted, 1 received, 0 out-of-order, 0% packet loss", "/NaN µs\n")
	})
}

func TestCtrlCInTheMiddle(t *testing.T) {
	for _, words := range []string{"", "-f", "-F", "-i 0"} {
		t.Run(words, func(t *testing.T) {
			h := tooltest.New(t)
			h.Start(t, Main, "n", "-l", "-Q")
			if words == "" {
				words = "-i 5"
			}
			c := h.Start(t, Main, "", append([]string{"-n", "n"}, strings.Fields(words)...)...)
			c.Stdout.Await(t, "seq=")
			c.Stop()
			if code := c.Wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			contains(t, c, "--- n ping statistics ---", "rtt min/avg/max/mdev")
		})
	}
}

func TestCtrlCWhileNothingComes(t *testing.T) {
	for _, words := range []string{"", "-f", "-F"} {
		t.Run(words, func(t *testing.T) {
			h := tooltest.New(t)
			node := h.Process(t, "n")
			got := make(chan struct{}, 100)
			go requests(t, node, func(*ouroboros.Flow, []byte) { got <- struct{}{} })
			c := h.Start(t, Main, "", append([]string{"-n", "n", "-i", "5"}, strings.Fields(words)...)...)
			<-got
			c.Stop()
			if code := c.Wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			contains(t, c, "0 received, 0 out-of-order, 100% packet loss")
		})
	}
}

func TestTheClientEndsWhenTheServerGoes(t *testing.T) {
	for _, words := range []string{"-i 5", "-f", "-F"} {
		t.Run(words, func(t *testing.T) {
			h := tooltest.New(t)
			s := h.Start(t, Main, "n", "-l", "-Q")
			c := h.Start(t, Main, "", append([]string{"-n", "n"}, strings.Fields(words)...)...)
			c.Stdout.Await(t, "seq=")
			s.Stop()
			if code := c.Wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			contains(t, c, "--- n ping statistics ---")
		})
	}
}

func TestTheLengthOfATestIsKept(t *testing.T) {
	against(t, "-d 2s -i 500", func(f *ouroboros.Flow, b []byte) { makeReply(b); f.Write(b) }, func(c *tooltest.Run) {
		contains(t, c, "(4 packets)", "4 packets transmitted, 4 received, 0 out-of-order, 0% packet loss, time: 2000.000 ms\n")
	})
}

func TestATimedFlood(t *testing.T) {
	h := tooltest.New(t)
	h.Start(t, Main, "n", "-l", "-Q")
	c := h.Start(t, Main, "", "-n", "n", "-f", "-d", "100", "-Q", "--json")
	c.Wait()
	var r result
	if err := json.Unmarshal([]byte(c.Stdout.String()), &r); err != nil {
		t.Fatal(err)
	}
	if r.End != "duration" || r.Elapsed < 100 || r.Elapsed > 5000 || r.Sent < 10 || r.Sent != r.Received {
		t.Errorf("got %+v", r)
	}
}
