package operf

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros"
	"ouroboros/internal/leak"
	"ouroboros/internal/tool/tooltest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestATestOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := tooltest.New(t)
		s := h.Start(t, Main, "perf", "-l")
		c := h.Start(t, Main, "", "-n", "perf", "-d", "2s", "-r", "120k", "--sleep")
		if code := c.Wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		want := `Doing a unidirectional test.
Sending 1500 byte packets for 2 s to perf at 0.120 Mb/s.

Test finished.

--- perf perf statistics ---
20 packets transmitted, time: 2000.000 ms, bandwidth: 0.120 Mb/s.
`
		if got := c.Stdout.String(); got != want {
			t.Errorf("client:\n%s", got)
		}
		s.Stdout.Await(t, "Flow 64 in all: 20 packets, 30000 bytes in 2000.000 ms, 0.120 Mb/s, 0 lost, 0 out-of-order\n")
		s.Stop()
		if code := s.Wait(); code != 0 {
			t.Errorf("server: exit code %d", code)
		}
		got := s.Stdout.String()
		if !strings.HasPrefix(got, "Ouroboros perf server started.\nNew flow 64.\nDoing a unidirectional test.\nFlow 64: ") ||
			!strings.HasSuffix(got, "\n--- perf server statistics ---\n1 flows, 20 packets, 30000 bytes\n") {
			t.Errorf("server:\n%s", got)
		}
	})
}

func TestATestBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := tooltest.New(t)
		s := h.Start(t, Main, "perf", "-l")
		c := h.Start(t, Main, "", "-n", "perf", "-t", "bi", "-d", "2s", "-r", "80k", "--sleep", "-s", "1000", "--histogram")
		if code := c.Wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		want := `Doing a bidirectional test.
Sending 1000 byte packets for 2 s to perf at 0.080 Mb/s.

Test finished.

--- perf perf statistics ---
20 packets transmitted, 20 received, 0% packet loss, time: 2000.000 ms, bandwidth: 0.080 Mb/s.

rtt percentiles (µs): `
		if got := c.Stdout.String(); !strings.HasPrefix(got, want) {
			t.Errorf("client:\n%s", got)
		}
		s.Stdout.Await(t, "Flow 64 in all: 20 packets")
		s.Stop()
		s.Wait()
	})
}

func TestFloods(t *testing.T) {
	for _, test := range []string{"uni", "bi"} {
		for _, size := range []string{"64", "1500", "1048576"} {
			t.Run(test+" "+size, func(t *testing.T) {
				h := tooltest.New(t)
				s := h.Start(t, Main, "perf", "-l", "--json")
				c := h.Start(t, Main, "", "-n", "perf", "-t", test, "-f", "-d", "100", "-s", size, "--json")
				if code := c.Wait(); code != 0 {
					t.Errorf("exit code %d", code)
				}
				var r struct {
					Transmitted, Received int64
					Test, End             string
				}
				if err := json.Unmarshal([]byte(c.Stdout.String()), &r); err != nil {
					t.Fatalf("%v in %q", err, c.Stdout.String())
				}
				if r.Transmitted == 0 || r.Test != test || r.End != "duration" || test == "bi" && r.Received != r.Transmitted {
					t.Errorf("got %+v", r)
				}
				s.Stdout.Await(t, `"event":"end"`)
				var e struct {
					Event         string
					Packets, Lost int64
				}
				for line := range strings.Lines(s.Stdout.String()) {
					if err := json.Unmarshal([]byte(line), &e); err != nil {
						t.Fatal(err)
					}
				}
				if e.Event != "end" || e.Packets != r.Transmitted || e.Lost != 0 {
					t.Errorf("got %+v after %+v", e, r)
				}
			})
		}
	}
}

func TestConfigurationsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := tooltest.New(t)
		s := h.Start(t, Main, "perf", "-l")
		node := h.Process(t, "")
		open := func(first string) *ouroboros.Flow {
			f, err := node.Alloc(t.Context(), "perf", nil)
			if err != nil {
				t.Fatal(err)
			}
			if first != "" {
				f.Write([]byte(first))
			}
			return f
		}
		for _, bad := range []string{"\x01\x00\x00", "\x01\x00\x00\x00\x00", "\x02\x00\x00\x00", "\x00\x00\x00\x01", strings.Repeat("x", 100000)} {
			f := open(bad)
			if _, err := f.Read(make([]byte, 9)); err == nil {
				t.Errorf("%.9q is answered", bad)
			}
			f.Close()
		}
		if n := strings.Count(s.Stdout.String(), "Invalid config message.\n"); n != 5 {
			t.Errorf("%d of 5 refused", n)
		}
		silent := open("")
		// And after all that a test works, also one that pauses.
		good := open("\x01\x00\x00\x00")
		time.Sleep(1200 * time.Millisecond)
		good.Write([]byte("\x00\x00\x00\x00data"))
		b := make([]byte, 20)
		if n, err := good.Read(b); err != nil || string(b[:n]) != "\x00\x00\x00\x00data" {
			t.Errorf("got %q, %v", b[:n], err)
		}
		if _, err := silent.Read(b); err == nil {
			t.Error("an answer to nothing")
		}
		s.Stdout.Await(t, "timed out.\n")
		s.Stop()
		s.Wait()
	})
}

// against runs a bi client with a server made by hand, in virtual time.
func against(t *testing.T, reply func(f *ouroboros.Flow, n int, b []byte), check func(c *tooltest.Run)) {
	synctest.Test(t, func(t *testing.T) {
		h := tooltest.New(t)
		node := h.Process(t, "perf")
		go func() {
			f, err := node.Accept(t.Context())
			if err != nil {
				return
			}
			defer f.Close()
			b := make([]byte, 2000)
			for n := 0; ; n++ {
				size, err := f.Read(b)
				if err != nil {
					return
				}
				if n > 0 {
					reply(f, n-1, b[:size])
				}
			}
		}()
		c := h.Start(t, Main, "", "-n", "perf", "-t", "bi", "-d", "1s", "-r", "8k", "-s", "100", "--sleep")
		if code := c.Wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		check(c)
	})
}

func TestLossAndRepetitionAreCounted(t *testing.T) {
	against(t, func(f *ouroboros.Flow, n int, b []byte) {
		switch n {
		case 2, 5, 7:
		case 8:
			f.Write(b)
			fallthrough
		default:
			f.Write(b)
		}
	}, func(c *tooltest.Run) {
		want := "10 packets transmitted, 7 received, 1 duplicates, 30% packet loss, time: 1000.000 ms, bandwidth: 0.006 Mb/s.\n"
		if got := c.Stdout.String(); !strings.Contains(got, want) || !strings.Contains(got, "Server timed out.\n") {
			t.Errorf("got:\n%s", got)
		}
	})
}

func TestGarbageIsNotCounted(t *testing.T) {
	against(t, func(f *ouroboros.Flow, n int, b []byte) {
		if n == 0 {
			f.Write(b[:3])
			f.Write(b[:99])
			f.Write(make([]byte, 101))
			f.Write(append([]byte{1, 2, 3, 4}, b[4:]...)) // never sent
		}
		f.Write(b)
	}, func(c *tooltest.Run) {
		got := c.Stdout.String()
		if n := strings.Count(got, "Invalid message on fd 64.\n"); n != 4 || !strings.Contains(got, "10 packets transmitted, 10 received, 0% packet loss") {
			t.Errorf("%d invalid in:\n%s", n, got)
		}
	})
}

func TestEachMessageOnALine(t *testing.T) {
	h := tooltest.New(t)
	s := h.Start(t, Main, "perf", "-l", "-v")
	h.Start(t, Main, "", "-n", "perf", "-d", "100", "-s", "100").Wait()
	s.Stdout.Await(t, "in all")
	s.Stop()
	s.Wait()
	if got := s.Stdout.String(); !strings.Contains(got, "Seqno 0 from fd 64: 1") || !strings.Contains(got, "\nSeqno 1 from fd 64: ") {
		t.Errorf("got:\n%s", got)
	}
}

func TestCtrlC(t *testing.T) {
	for _, words := range []string{"-t uni", "-t bi", "-t uni -f", "-t bi -f"} {
		t.Run(words, func(t *testing.T) {
			h := tooltest.New(t)
			s := h.Start(t, Main, "perf", "-l", "-v")
			c := h.Start(t, Main, "", append([]string{"-n", "perf", "-d", "1h", "-s", "100"}, strings.Fields(words)...)...)
			c.Stdout.Await(t, "for 3600 s")
			c.Stop()
			if code := c.Wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if got := c.Stdout.String(); !strings.Contains(got, "--- perf perf statistics ---\n") {
				t.Errorf("got:\n%s", got)
			}
			s.Stdout.Await(t, "in all")
			s.Stop()
			s.Wait()
		})
	}
}

func TestWithoutAServer(t *testing.T) {
	c := tooltest.New(t).Start(t, Main, "", "-n", "nowhere")
	if code := c.Wait(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if got := c.Stderr.String(); !strings.HasPrefix(got, "Failed to allocate flow.\n  ") {
		t.Errorf("got %q", got)
	}
}
