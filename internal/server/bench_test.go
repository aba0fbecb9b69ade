package server

import (
	"testing"

	"ouroboros/qos"
)

// BenchmarkAlloc allocates and deallocates a flow: one client, one server that
// accepts all the time, each over its socket.
func BenchmarkAlloc(b *testing.B) {
	d := start(b, Config{})
	server, client := d.serve("bench"), d.dial()
	go func() {
		for {
			g, err := server.Accept(soon(b))
			if err != nil {
				return
			}
			hangUp(server, g)
		}
	}()
	for b.Loop() {
		g, err := client.Alloc(b.Context(), "bench", qos.Raw)
		if err != nil {
			b.Fatal(err)
		}
		hangUp(client, g)
	}
	server.Close()
}

// BenchmarkStatus is a call on the management socket.
func BenchmarkStatus(b *testing.B) {
	d := start(b, Config{})
	c := d.client()
	for b.Loop() {
		if _, err := c.Status(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
