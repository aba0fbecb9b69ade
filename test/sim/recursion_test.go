package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"ouroboros/internal/simnet"
	"ouroboros/irm"
	"ouroboros/qos"
)

// member is an IPCP of a layer in a stack of layers.
type member struct {
	h    *Host
	pid  int
	name string
}

// create makes an IPCP that is found under its name in the layers of the IPCPs
// below.
func create(ctx context.Context, h *Host, name string, below ...int) (m member, err error) {
	m = member{h: h, name: name}
	if m.pid, err = h.CreateIPCP(ctx, name, irm.Unicast); err != nil {
		return m, err
	}
	if err := h.BindProcess(ctx, m.pid, name); err != nil {
		return m, err
	}
	for _, pid := range below {
		if err := h.RegName(ctx, name, pid); err != nil {
			return m, err
		}
	}
	return m, nil
}

// enter makes a member the first of a layer, or has it join at another.
func (m member) enter(ctx context.Context, layer string, cfg *irm.UnicastConfig, at *member, spec qos.Spec) error {
	if at == nil {
		c := irm.NewConfig(irm.Unicast, layer)
		c.Unicast = cfg
		_, err := m.h.BootstrapIPCP(ctx, m.pid, c)
		return err
	}
	if _, err := m.h.EnrollIPCP(ctx, m.pid, at.name); err != nil {
		return fmt.Errorf("%s enrolls: %w", m.name, err)
	}
	if err := m.h.ConnectIPCP(ctx, m.pid, irm.Management, at.name, qos.Raw); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	if err := m.h.ConnectIPCP(ctx, m.pid, irm.DataTransfer, at.name, spec); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

// carries sends messages and a reliable stream through the topmost layer.
func carries(t *testing.T, client *Host, server member, service string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sc, err := server.h.Node.Client(service)
	if err != nil {
		t.Fatal(err)
	}
	l, err := sc.Listen(ctx, service)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.h.RegName(ctx, service, server.pid); err != nil {
		t.Fatal(err)
	}
	for what, spec := range map[string]qos.Spec{"raw": qos.Raw, "reliable": qos.Data} {
		go func() {
			f, err := l.AcceptFlow(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			buf := make([]byte, 64<<10)
			f.SetReadTimeout(30 * time.Second)
			for {
				n, err := f.Read(buf)
				if err != nil {
					return
				}
				if _, err := f.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
		begun := time.Now()
		f, err := client.Client.Alloc(ctx, service, &spec)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		took := time.Since(begun)
		if err := ask(f, []byte("through all layers")); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if long := bytes.Repeat([]byte{7}, f.MTU()); ask(f, long[:min(len(long), 2048)]) != nil {
			t.Errorf("%s: a message of %d bytes has no echo", what, len(long))
		}
		t.Logf("%s: allocated in %v, MTU %d", what, took, f.MTU())
		if spec.Reliable() {
			s, err := f.Stream()
			if err != nil {
				t.Fatal(err)
			}
			sent := bytes.Repeat([]byte("0123456789abcdef"), 4096)
			go s.Write(sent)
			got := make([]byte, len(sent))
			s.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%s: the stream has not come back: %v", what, err)
			}
		}
		f.Close()
	}
}

const depth = 12

// TestTwelveLayersStandOnEachOther on three nodes in a row: each layer has a
// member on each node, and runs over the one below.
func TestTwelveLayersStandOnEachOther(t *testing.T) {
	for what, spec := range map[string]qos.Spec{"raw": qos.Raw, "reliable": qos.Data} {
		t.Run(what, func(t *testing.T) {
			world(t, func(t *testing.T) {
				n := Build(t, Line(3), Options{Seed: 1, Flows: spec, Link: simnet.Link{Delay: 100 * time.Microsecond}})
				ctx, cancel := n.Context(10 * time.Minute)
				defer cancel()
				var below []member
				for _, h := range n.Hosts {
					below = append(below, member{h, h.U, MemberName(h.Index)})
				}
				for k := 2; k <= depth; k++ {
					var layer []member
					for i, h := range n.Hosts {
						m, err := create(ctx, h, fmt.Sprintf("m%d.%d", k, i), below[i].pid)
						if err != nil {
							t.Fatal(err)
						}
						var at *member
						if i > 0 {
							at = &layer[i-1]
						}
						if err := m.enter(ctx, fmt.Sprintf("L%d", k), irm.NewUnicastConfig(), at, spec); err != nil {
							t.Fatalf("layer %d: %v", k, err)
						}
						layer = append(layer, m)
					}
					below = layer
				}
				time.Sleep(time.Second)
				carries(t, n.Hosts[0], below[2], "top")
			})
		})
	}
}

// TestLayersStandOnAMixture of what there is: each has four members, A on the
// first node, B and C on the second, D on the third. B and C meet over a local
// layer, the others over the layer below, and the lowest over links.
func TestLayersStandOnAMixture(t *testing.T) {
	world(t, func(t *testing.T) {
		n := Build(t, Line(3), Options{Seed: 2, Link: simnet.Link{Delay: 100 * time.Microsecond}})
		ctx, cancel := n.Context(10 * time.Minute)
		defer cancel()
		hosts := []*Host{n.Hosts[0], n.Hosts[1], n.Hosts[1], n.Hosts[2]}
		local, err := n.Hosts[1].CreateIPCP(ctx, "local", irm.Local)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Hosts[1].BootstrapIPCP(ctx, local, irm.NewConfig(irm.Local, "local")); err != nil {
			t.Fatal(err)
		}
		below := []int{n.Hosts[0].U, n.Hosts[1].U, n.Hosts[1].U, n.Hosts[2].U}
		var layer []member
		for k := 2; k <= 5; k++ {
			layer = nil
			for i, h := range hosts {
				under := []int{below[i]}
				switch i {
				case 1: // B: A finds it in the layer below, C in the local one
					under = append(under, local)
				case 2: // C: D finds it in the layer below
				}
				m, err := create(ctx, h, fmt.Sprintf("m%d.%c", k, 'A'+i), under...)
				if err != nil {
					t.Fatal(err)
				}
				var at *member
				if i > 0 {
					at = &layer[i-1]
				}
				if err := m.enter(ctx, fmt.Sprintf("L%d", k), irm.NewUnicastConfig(), at, qos.Raw); err != nil {
					t.Fatalf("layer %d: %v", k, err)
				}
				layer = append(layer, m)
			}
			below = []int{layer[0].pid, layer[1].pid, layer[2].pid, layer[3].pid}
		}
		time.Sleep(time.Second)
		carries(t, n.Hosts[0], layer[3], "top")
	})
}
