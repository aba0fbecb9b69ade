package oecho

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"ouroboros/internal/leak"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/tooltest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestEcho(t *testing.T) {
	h := tooltest.New(t)
	s := h.Start(t, Main, Name, "-l")
	for range 2 {
		c := h.Start(t, Main, "")
		if code := c.Wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if got := c.Stdout.String(); got != "Server replied with Client says hi!\n" {
			t.Errorf("client: %q", got)
		}
	}
	s.Stop()
	if code := s.Wait(); code != 0 {
		t.Errorf("server: exit code %d", code)
	}
	once := "New flow.\nMessage from client is Client says hi!.\n"
	if got := s.Stdout.String(); got != "Starting the server.\n"+once+once {
		t.Errorf("server:\n%s", got)
	}
}

func TestASilentClientHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := tooltest.New(t)
		s := h.Start(t, Main, Name, "-l")
		silent, err := h.Process(t, "").Alloc(t.Context(), Name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if code := h.Start(t, Main, "").Wait(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		// In the end the server gives the silent one up.
		if _, err := silent.Read(make([]byte, 9)); err == nil {
			t.Error("an answer to nothing")
		}
		s.Stderr.Await(t, "Failed to read packet (fd 64).\n  ")
		s.Stop()
		s.Wait()
	})
}

func TestAServerThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := tooltest.New(t)
		node := h.Process(t, Name)
		c := h.Start(t, Main, "")
		f, err := node.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if code := c.Wait(); code != 255 {
			t.Errorf("exit code %d", code)
		}
		if got := c.Stderr.String(); !strings.HasPrefix(got, "Failed to read packet.\n  ") {
			t.Errorf("got %q", got)
		}
	})
}

func TestWithoutAServer(t *testing.T) {
	c := tooltest.New(t).Start(t, Main, "")
	if code := c.Wait(); code != 255 {
		t.Errorf("exit code %d", code)
	}
	if got := c.Stderr.String(); !strings.HasPrefix(got, "Failed to allocate flow.\n  ") {
		t.Errorf("got %q", got)
	}
}

func TestJSON(t *testing.T) {
	h := tooltest.New(t)
	s := h.Start(t, Main, Name, "-l", "--json")
	c := h.Start(t, Main, "", "--json")
	c.Wait()
	s.Stop()
	s.Wait()
	for _, r := range []*tooltest.Run{c, s} {
		var m message
		if err := json.Unmarshal([]byte(r.Stdout.String()), &m); err != nil {
			t.Fatalf("%v in %q", err, r.Stdout.String())
		}
		if m.Message != greeting || m.Bytes != 16 || m.FD != console.FirstFD {
			t.Errorf("got %+v", m)
		}
	}
}
