package simnet_test

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros"
	"ouroboros/internal/ipcp"
	"ouroboros/internal/simnet"
	"ouroboros/irm"
	"ouroboros/qos"
	"ouroboros/stack"
)

// twoNodes joins two nodes by a link and gives a listener and a client.
func twoNodes(t testing.TB, net *simnet.Net, device string) (*ouroboros.Listener, *ouroboros.Client) {
	t.Helper()
	ctx := t.Context()
	var pids [2]int
	var nodes [2]*stack.Node
	for i := range nodes {
		n, err := stack.New(stack.Config{Kinds: map[irm.IPCPType]ipcp.Constructor{irm.EthDIX: net.Kind()}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
		if pids[i], err = n.CreateIPCP(ctx, "eth", irm.EthDIX); err != nil {
			t.Fatal(err)
		}
		cfg := irm.NewConfig(irm.EthDIX, "lan")
		cfg.Eth.Device = device
		if _, err := n.BootstrapIPCP(ctx, pids[i], cfg); err != nil {
			t.Fatal(err)
		}
		nodes[i] = n
	}
	sc, err := nodes[1].Client("server")
	if err != nil {
		t.Fatal(err)
	}
	l, err := sc.Listen(ctx, "service")
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes[1].RegName(ctx, "service", pids[1]); err != nil {
		t.Fatal(err)
	}
	cc, err := nodes[0].Client("client")
	if err != nil {
		t.Fatal(err)
	}
	return l, cc
}

func flows(t testing.TB, l *ouroboros.Listener, c *ouroboros.Client, spec qos.Spec) (client, server *ouroboros.Flow) {
	t.Helper()
	accepted := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var err error
		server, err = l.AcceptFlow(ctx)
		accepted <- err
	}()
	client, err := c.Alloc(t.Context(), "service", &spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	return client, server
}

func TestFlowsBetweenNodes(t *testing.T) {
	for what, spec := range map[string]qos.Spec{"raw": qos.Raw, "best effort": qos.BestEffort, "reliable": qos.Data} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := simnet.New(simnet.Options{})
				net.Link("l", simnet.Link{Bandwidth: 100e6, Delay: 2 * time.Millisecond})
				l, c := twoNodes(t, net, "l")
				client, server := flows(t, l, c, spec)
				begun := time.Now()
				if _, err := client.Write([]byte("question")); err != nil {
					t.Fatal(err)
				}
				buf := make([]byte, 100)
				if n, err := server.Read(buf); err != nil || string(buf[:n]) != "question" {
					t.Fatalf("read %q: %v", buf[:n], err)
				}
				if d := time.Since(begun); d < 2*time.Millisecond || d > 3*time.Millisecond {
					t.Errorf("it took %v", d)
				}
				server.Write([]byte("answer"))
				if n, err := client.Read(buf); err != nil || string(buf[:n]) != "answer" {
					t.Fatalf("read %q: %v", buf[:n], err)
				}
			})
		})
	}
}

func TestAReliableFlowBringsAllOverABadLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{Seed: 7})
		link := net.Link("l", simnet.Link{
			Bandwidth: 100e6, Delay: 5 * time.Millisecond, Jitter: 2 * time.Millisecond,
			Loss: 0.02, Duplicate: 0.02, Reorder: 0.02, Queue: 100,
		})
		l, c := twoNodes(t, net, "l")
		client, server := flows(t, l, c, qos.Data)
		sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		a, err := client.Stream()
		if err != nil {
			t.Fatal(err)
		}
		b, err := server.Stream()
		if err != nil {
			t.Fatal(err)
		}
		wrote := make(chan error, 1)
		go func() {
			_, err := a.Write(sent)
			wrote <- err
		}()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("not all came: %v", err)
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
		if st := link.Stats(); st.Lost == 0 || st.Reordered == 0 {
			t.Errorf("the link was good: %+v", st)
		}
	})
}

// TestARawSenderFillsTheBandwidth: the queue of the link holds the writer up,
// so nothing is lost and the wire is never idle.
func TestARawSenderFillsTheBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		link := net.Link("l", simnet.Link{Bandwidth: 10e6, Delay: 2 * time.Millisecond, Queue: 50})
		l, c := twoNodes(t, net, "l")
		client, server := flows(t, l, c, qos.NP1)
		stop := time.Now().Add(10 * time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			msg := make([]byte, 1000)
			for time.Now().Before(stop) {
				if _, err := client.Write(msg); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		buf := make([]byte, 2000)
		bytes := 0
		for time.Now().Before(stop) {
			n, err := server.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			bytes += n
		}
		<-done
		if share := float64(bytes) * 8 / 10 / 10e6 * (1000 + header) / 1000; share < 0.99 || share > 1.01 {
			t.Errorf("the flow had %.3f of the bandwidth", share)
		}
		if st := link.Stats(); st.Lost+st.Overflowed > 0 {
			t.Errorf("%+v", st)
		}
	})
}

func BenchmarkFlow(b *testing.B) {
	net := simnet.New(simnet.Options{})
	net.Link("l", simnet.Link{MTU: 9000})
	l, c := twoNodes(b, net, "l")
	client, server := flows(b, l, c, qos.Data)
	msg, buf := make([]byte, 8000), make([]byte, 9000)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	go func() {
		for range b.N {
			client.Write(msg)
		}
	}()
	for range b.N {
		if _, err := server.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}
