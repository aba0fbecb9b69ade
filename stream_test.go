package ouroboros

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"ouroboros/internal/session"
	"ouroboros/qos"
)

func streamPair(t testing.TB, n *node) (a, b net.Conn) {
	t.Helper()
	fa, fb := flowPair(t, n, &qos.Data)
	a, err := fa.Stream()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = fb.Stream(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func TestStreamIsANetConn(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			c1, c2 = streamPair(t, n)
			return c1, c2, func() { c1.Close(); c2.Close() }, nil
		})
	})
}

func TestStreamSplitsAndJoins(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		a, b := streamPair(t, n)
		data := make([]byte, 5<<20+17)
		for i := range data {
			data[i] = byte(i * i >> 7)
		}
		go func() {
			a.Write(data[:3])
			a.Write(data[3:])
			a.Close()
		}()
		h := sha256.New()
		got, err := io.Copy(h, b)
		if err != nil || got != int64(len(data)) {
			t.Fatal(got, err)
		}
		if want := sha256.Sum256(data); !bytes.Equal(h.Sum(nil), want[:]) {
			t.Fatal("other bytes")
		}
	})
}

func TestStreamEndsWithEOFAfterDeallocOnly(t *testing.T) {
	n := newNode(t, false)
	a, b := streamPair(t, n)
	a.Write([]byte("bye"))
	a.Close()
	if got, err := io.ReadAll(b); err != nil || string(got) != "bye" {
		t.Fatalf("%q, %v", got, err)
	}
	fa, fb := flowPair(t, n, nil)
	sb, _ := fb.Stream()
	write(t, fa, "cut of")
	n.crash(fa)
	if got, err := io.ReadAll(sb); !errors.Is(err, ErrFlowDown) || string(got) != "cut of" {
		t.Fatalf("%q, %v", got, err)
	}
	sb.Close()
	if _, err := sb.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

func TestStreamNeedsAReliableFlow(t *testing.T) {
	n := newNode(t, false)
	a, _ := flowPair(t, n, nil) // raw, but on one node
	if _, err := a.Stream(); err != nil {
		t.Fatal(err)
	}
	far := newFlow(a.client, &session.Grant{ID: 9, QoS: qos.BestEffort, Remote: true, End: a.end}, false)
	if _, err := far.Stream(); !errors.Is(err, ErrNotSup) {
		t.Fatal(err)
	}
}

func TestHTTPRunsOverAFlow(t *testing.T) {
	kinds(t, func(t *testing.T, n *node) {
		ctx := context.Background()
		l, err := n.client(t).Listen(ctx, "web")
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Write(body)
		})
		mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done() // the background read sees the client go
		})
		srv := &http.Server{Handler: mux}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(l) }()

		tr := &http.Transport{DialContext: n.client(t).DialContext}
		c := &http.Client{Transport: tr}
		for i := range 100 {
			body := bytes.Repeat([]byte(fmt.Sprint(i)), 1+i*i*10)
			r, err := c.Post("http://web:80/echo", "text/plain", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("request %d: %d bytes, %v", i, len(got), err)
			}
		}
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		req, _ := http.NewRequestWithContext(short, "GET", "http://web/slow", nil)
		if _, err := c.Do(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		tr.CloseIdleConnections()
		if err := srv.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Fatal(err)
		}
	})
}

func TestDialContextCutsThePort(t *testing.T) {
	for in, want := range map[string]string{"web:80": "web", "web": "web", "a:b": "a:b", "web:": "web", "x:y:7": "x:y"} {
		if got := cutPort(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
