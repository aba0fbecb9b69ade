package ocbr

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/leak"
	"ouroboros/internal/tool/tooltest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestTheRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := tooltest.New(t)
		s := h.Start(t, Main, "n", "-l")
		c := h.Start(t, Main, "", "-n", "n", "-d", "2", "-r", "100000", "-s", "500")
		if code := c.Wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		want := "Client started, duration 2, rate 100000 b/s, size 500 B.\n" +
			"sent statistics:        50 packets,        25000 bytes in      2000 ms, 0.1000 Mb/s\n"
		if got := c.Stdout.String(); got != want {
			t.Errorf("client:\n%s", got)
		}
		s.Stdout.Await(t, "Test on flow 64 ended: deallocated")
		s.Stop()
		if code := s.Wait(); code != 0 {
			t.Errorf("server: exit code %d", code)
		}
		got := s.Stdout.String()
		if !strings.HasPrefix(got, "Server started, interval is 1 s, timeout is 1 s.\nNew flow.\n") ||
			!strings.HasSuffix(got, "\n1 flows, 50 packets, 25000 bytes\n") {
			t.Errorf("server:\n%s", got)
		}
		report := regexp.MustCompile(`(?m)^Flow   64: +2[56] packets \( +1[23][05]00 bytes\) in      1000 ms =>   2[56]\.0000 pps,    0\.10[04]0 Mbps$`)
		if !report.MatchString(got) {
			t.Errorf("no report of the first second in:\n%s", got)
		}
	})
}

func TestASilentTestTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := tooltest.New(t)
		s := h.Start(t, Main, "n", "-l", "-t", "2", "-i", "5")
		f, err := h.Process(t, "").Alloc(t.Context(), "n", nil)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		f.Write(make([]byte, 100))
		s.Stdout.Await(t, "Test on flow 64 timed out\nFlow   64:         1 packets (         100 bytes)")
		if d := time.Since(start); d < 2*time.Second || d > 3*time.Second {
			t.Errorf("after %v", d)
		}
		s.Stop()
		s.Wait()
	})
}

func TestSizes(t *testing.T) {
	for _, size := range []int64{1, 7, 8, 1500, MaxSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			h := tooltest.New(t)
			node := h.Process(t, "n")
			c := h.Start(t, Main, "", "-n", "n", "-d", "1h", "-f", "-s", fmt.Sprint(size))
			f, err := node.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			buf := make([]byte, MaxSize+1)
			for seq := range int64(20) {
				n, err := f.Read(buf)
				if err != nil || int64(n) != size {
					t.Fatalf("%d bytes, %v", n, err)
				}
				want := make([]byte, n)
				number(want, seq)
				if string(want) != string(buf[:n]) {
					t.Fatalf("message %d: % x", seq, buf[:min(n, 16)])
				}
			}
			c.Stop()
			if code := c.Wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(c.Stdout.String(), "sent statistics:") {
				t.Errorf("got:\n%s", c.Stdout.String())
			}
		})
	}
}

func TestEmptyMessagesAreNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := tooltest.New(t)
		node := h.Process(t, "n")
		c := h.Start(t, Main, "", "-n", "n", "-d", "2", "-s", "0")
		f, err := node.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if code := c.Wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if got := c.Stdout.String(); !strings.Contains(got, "sent statistics:         0 packets,            0 bytes in      2000 ms, 0.0000 Mb/s\n") {
			t.Errorf("got:\n%s", got)
		}
		if got := c.Stderr.String(); !strings.Contains(got, "0 bytes are not sent") {
			t.Errorf("got %q", got)
		}
	})
}

func TestElevenClientsAtOnce(t *testing.T) {
	const many = 11
	h := tooltest.New(t)
	s := h.Start(t, Main, "n", "-l", "--json")
	var clients []*tooltest.Run
	for range many {
		clients = append(clients, h.Start(t, Main, "", "-n", "n", "-d", "200ms", "-r", "1M", "--json"))
	}
	var packets, bytes int64
	for _, c := range clients {
		c.Wait()
		var r result
		if err := json.Unmarshal([]byte(c.Stdout.String()), &r); err != nil {
			t.Fatalf("%v in %q", err, c.Stdout.String())
		}
		if r.Packets == 0 || r.End != "duration" {
			t.Errorf("got %+v", r)
		}
		packets += r.Packets
		bytes += r.Bytes
	}
	s.Stdout.AwaitCount(t, `"event":"end"`, many)
	s.Stop()
	s.Wait()
	want := fmt.Sprintf(`{"event":"stopped","flows":%d,"packets":%d,"bytes":%d,`, many, packets, bytes)
	if !strings.Contains(s.Stdout.String(), want) {
		t.Errorf("%s is missing in:\n%s", want, s.Stdout.String())
	}
}

func TestTheHistogramOfTheServer(t *testing.T) {
	h := tooltest.New(t)
	s := h.Start(t, Main, "n", "-l", "--histogram")
	h.Start(t, Main, "", "-n", "n", "-d", "50ms", "-s", "100", "--spin").Wait()
	s.Stdout.Await(t, "Flow 64: gap histogram:\n")
}

func TestTheServerStopsInTheMiddle(t *testing.T) {
	h := tooltest.New(t)
	s := h.Start(t, Main, "n", "-l", "-i", "50ms")
	c := h.Start(t, Main, "", "-n", "n", "-f")
	s.Stdout.Await(t, "pps")
	s.Stop()
	if code := s.Wait(); code != 0 {
		t.Errorf("server: exit code %d", code)
	}
	if code := c.Wait(); code != 0 {
		t.Errorf("client: exit code %d", code)
	}
	if !strings.Contains(s.Stdout.String(), "Test on flow 64 ended: stopped\n") || !strings.Contains(c.Stdout.String(), "sent statistics:") {
		t.Error("no statistics")
	}
}

func TestWithoutAServer(t *testing.T) {
	c := tooltest.New(t).Start(t, Main, "", "-n", "nowhere")
	if code := c.Wait(); code != 255 {
		t.Errorf("exit code %d", code)
	}
	if got := c.Stderr.String(); !strings.HasPrefix(got, "Failed to allocate flow.\n  ") {
		t.Errorf("got %q", got)
	}
}
