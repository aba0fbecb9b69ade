package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"ouroboros"
	"ouroboros/internal/ring"
)

// stuff fills a flow that nobody reads, blocks in a write, and says why that
// ended.
func stuff(c *ouroboros.Client, name string) error {
	f, err := c.Alloc(context.Background(), name, nil)
	if err != nil {
		return err
	}
	f.SetFlags(ouroboros.DefaultFlags | ouroboros.NonBlockingWrite)
	for err == nil {
		_, err = f.Write(make([]byte, 1000))
	}
	if !errors.Is(err, ouroboros.ErrWouldBlock) {
		return err
	}
	f.SetFlags(ouroboros.DefaultFlags)
	fmt.Println("full")
	_, err = f.Write(make([]byte, 1000))
	fmt.Println("write:", ouroboros.Errno(err))
	return nil
}

// deaf accepts flows for ever and reads none.
func deaf(c *ouroboros.Client) error {
	for {
		if _, err := c.Accept(context.Background()); err != nil {
			return err
		}
		fmt.Println("flow")
	}
}

// mapping is a piece of shared memory of this process.
type mapping struct{ from, to uint64 }

// shared lists the memory that this process shares with others.
func shared() ([]mapping, error) {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	var all []mapping
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var m mapping
		if strings.Contains(s.Text(), "memfd:") {
			if _, err := fmt.Sscanf(s.Text(), "%x-%x", &m.from, &m.to); err != nil {
				return nil, err
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// hostile exchanges messages on one flow to an echo server, and writes garbage
// all over the memory of twenty others. Then it breaks the doorbells of all.
func hostile(c *ouroboros.Client, name string) error {
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	good, err := c.Alloc(context.Background(), name, nil)
	if err != nil {
		return err
	}
	talk := func() error {
		msg, buf := []byte("still here"), make([]byte, 64)
		if _, err := good.Write(msg); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		n, err := good.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], msg) {
			return fmt.Errorf("read %q: %w", buf[:n], err)
		}
		return nil
	}
	if err := talk(); err != nil {
		return err
	}
	for range ring.LinkSegments - 1 { // what comes behind them has memory of its own
		if _, err := c.Alloc(context.Background(), name, nil); err != nil {
			return err
		}
	}
	first, err := shared()
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(7, 8))
	garbage := make([]byte, 1<<20)
	for i := range garbage {
		garbage[i] = byte(r.Uint32())
	}
	for i := range 20 {
		bad, err := c.Alloc(context.Background(), name, nil)
		if err != nil {
			return err
		}
		bad.Write([]byte("ring, so that somebody looks"))
		now, err := shared()
		if err != nil {
			return err
		}
		hit := 0
		for _, m := range now {
			if slices.Contains(first, m) {
				continue
			}
			hit++
			size := int64(m.to - m.from)
			if i%2 == 0 { // all of it, else here and there
				for at := int64(0); at < size; at += int64(len(garbage)) {
					mem.WriteAt(garbage[:min(size-at, int64(len(garbage)))], int64(m.from)+at)
				}
			}
			for range 2000 {
				mem.WriteAt(garbage[:8], int64(m.from)+8*r.Int64N(512)) // the words that both sides use
				mem.WriteAt(garbage[r.IntN(1000):][:8], int64(m.from)+8*r.Int64N(size/8))
			}
		}
		if hit == 0 {
			return errors.New("the flow has no memory of its own")
		}
		bad.Write([]byte("ring again"))
		if err := talk(); err != nil {
			return fmt.Errorf("the other flow, after %d: %w", i+1, err)
		}
		if i%2 == 1 {
			bad.Close()
		}
		if first, err = shared(); err != nil {
			return err
		}
	}
	fmt.Println("harmless")
	for _, m := range first {
		mem.WriteAt(garbage[:min(m.to-m.from, uint64(len(garbage)))], int64(m.from))
	}
	fmt.Println("broken")
	select {}
}
