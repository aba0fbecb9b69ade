package obc

import (
	"encoding/json"
	"strings"
	"testing"

	"ouroboros/internal/leak"
	"ouroboros/internal/tool/tooltest"
	"ouroboros/irm"
)

func TestMain(m *testing.M) { leak.Main(m) }

// withLayer is a host with a broadcast layer "all", which needs no other host.
func withLayer(t *testing.T) *tooltest.Host {
	t.Helper()
	h := tooltest.New(t)
	h.Layer(t, irm.NewConfig(irm.Broadcast, "all"))
	return h
}

func TestOneWritesAndAllOthersRead(t *testing.T) {
	h := withLayer(t)
	var readers []*tooltest.Run
	for range 3 {
		r := h.Start(t, Main, "", "-l", "-n", "all", "-c", "3")
		r.Stdout.Await(t, "New flow.\n")
		readers = append(readers, r)
	}
	for i, words := range [][]string{{"-n", "all", "-m", "hey"}, {"--name", "all"}, {"--message=", "--name=all"}} {
		w := h.Start(t, Main, "", words...)
		if code := w.Wait(); code != 0 || w.Stdout.String() != "" {
			t.Errorf("%q: code %d, %q", words, code, w.Stdout.String())
		}
		for _, r := range readers { // messages of several writers have no order
			r.Stdout.AwaitCount(t, "Message is ", i+1)
		}
	}
	for _, r := range readers {
		if code := r.Wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		want := "Starting a reader.\nNew flow.\nMessage is hey.\nMessage is Ouroboros multicast rocks!.\nMessage is .\n"
		if got := r.Stdout.String(); got != want {
			t.Errorf("got %q", got)
		}
	}
}

func TestLongMessagesAreShownWhole(t *testing.T) {
	h := withLayer(t)
	r := h.Start(t, Main, "", "-l", "-n", "all")
	r.Stdout.Await(t, "New flow.\n")
	for _, n := range []int{0, 255, 256, 300, 70000} {
		text := strings.Repeat("x", n)
		if code := h.Start(t, Main, "", "-n", "all", "-m", text).Wait(); code != 0 {
			t.Errorf("%d: exit code %d", n, code)
		}
		r.Stdout.Await(t, "Message is "+text+".\n")
	}
	w := h.Start(t, Main, "", "-n", "all", "-m", strings.Repeat("x", 1<<20))
	if code := w.Wait(); code != 255 || !strings.HasPrefix(w.Stderr.String(), "Failed to write packet.\n  ") {
		t.Errorf("code %d, %q", code, w.Stderr.String())
	}
	r.Stop()
	if code := r.Wait(); code != 0 || r.Stderr.String() != "" {
		t.Errorf("after Ctrl-C: code %d, %q", code, r.Stderr.String())
	}
}

func TestJSON(t *testing.T) {
	h := withLayer(t)
	r := h.Start(t, Main, "", "-l", "-n", "all", "-c", "1", "--json")
	// It says nothing before the first message: write until it has one.
	for !r.Ended() {
		h.Start(t, Main, "", "-n", "all", "-m", "hey").Wait()
	}
	var m message
	if err := json.Unmarshal([]byte(r.Stdout.String()), &m); err != nil {
		t.Fatal(err)
	}
	m.Flow = 0
	if want := (message{Tool: "obc", FD: 64, Layer: "all", Message: "hey", Bytes: 4}); m != want {
		t.Errorf("got %+v", m)
	}
}

func TestWhatCannotBeJoined(t *testing.T) {
	h := tooltest.New(t)
	h.Layer(t, irm.NewConfig(irm.Local, "home"))
	for layer, why := range map[string]string{"nothing": "no IPCP of this node is in it", "home": "it is a local layer"} {
		for _, words := range [][]string{{"-n", layer}, {"-n", layer, "-l"}} {
			r := h.Start(t, Main, "", words...)
			if code := r.Wait(); code != 255 {
				t.Errorf("%q: exit code %d", words, code)
			}
			if got := r.Stderr.String(); !strings.HasPrefix(got, "Failed to join broadcast.\n  ") || !strings.Contains(got, why) {
				t.Errorf("%q: got %q", words, got)
			}
		}
	}
}

func TestCommandLines(t *testing.T) {
	h := tooltest.New(t)
	for _, tc := range []struct {
		line           string
		code           int
		stdout, stderr string
	}{
		{"", 1, "", "Please specify a name.\n\nUsage: obc [OPTION]...\n"},
		{"-l", 1, "", "Please specify a name.\n\nUsage: obc"},
		{"-n all -c -1", 1, "", "A count is not negative.\n"},
		{"--help", 0, "Usage: obc [OPTION]...\n", ""},
		{"-h", 0, "Usage: obc", ""},
		{"--version", 0, "obc ", ""},
		{"-n", 1, "", "Option -n needs a value"},
		{"-x", 1, "", "Unknown option: -x."},
	} {
		r := h.Start(t, Main, "", strings.Fields(tc.line)...)
		if code := r.Wait(); code != tc.code {
			t.Errorf("%q: exit code %d", tc.line, code)
		}
		if got := r.Stdout.String(); !strings.HasPrefix(got, tc.stdout) {
			t.Errorf("%q: stdout %q", tc.line, got)
		}
		if got := r.Stderr.String(); !strings.HasPrefix(got, tc.stderr) {
			t.Errorf("%q: stderr %q", tc.line, got)
		}
	}
}
