package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"ouroboros"
)

// play is what this test binary does when it is started again as a process
// under test. Every role ends when its standard input does.
//
//	echo         accepts flows for ever and returns each message
//	count        as echo, and prints "flow" for each flow
//	hold NAME N  allocates N flows, prints "held", then each error it reads
//	load NAME    allocates, exchanges a few messages, deallocates, for ever;
//	             prints "ok" each hundredth time and any unexpected error
//	deaf         accepts flows for ever and never reads
//	tell NAME    allocates a flow, writes three messages, prints "told", stays
//	stuff NAME   allocates a flow and fills it, prints "full", then the error
//	             that ends the blocked write
//	hostile NAME breaks the memory of its flows but one, prints "harmless" if
//	             that one goes on, then breaks all it has and prints "broken"
//	traitor ...  is a member of a layer, see betray; it needs no daemon
func play(role string) int {
	lines := make(chan struct{}, 100)
	go func() {
		s := bufio.NewScanner(os.Stdin)
		for s.Scan() {
			select {
			case lines <- struct{}{}:
			default:
			}
		}
		os.Exit(0)
	}()
	if role == "traitor" {
		fmt.Println("end:", betray(os.Args[1:], lines))
		return 1
	}
	c, err := ouroboros.Open("")
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	args := os.Args[1:]
	switch role {
	case "echo", "count":
		fmt.Println("ready")
		err = echo(c, role == "count")
	case "hold":
		err = hold(c, args)
	case "load":
		err = load(c, args[0])
	case "stuff":
		err = stuff(c, args[0])
	case "tell":
		err = tell(c, args[0])
	case "deaf":
		fmt.Println("ready")
		err = deaf(c)
	case "hostile":
		err = hostile(c, args[0])
	default:
		err = fmt.Errorf("no role %q", role)
	}
	fmt.Println("end:", err)
	return 1
}

func echo(c *ouroboros.Client, say bool) error {
	for {
		f, err := c.Accept(context.Background())
		if err != nil {
			return err
		}
		if say {
			fmt.Println("flow")
		}
		go func() {
			defer f.Close()
			buf := make([]byte, ouroboros.MaxMessage)
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
	}
}

func hold(c *ouroboros.Client, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for range n {
		f, err := c.Alloc(context.Background(), args[0], nil)
		if err != nil {
			return err
		}
		wg.Go(func() {
			_, err := f.Read(make([]byte, 64))
			fmt.Println("read:", ouroboros.Errno(err))
			f.Close()
		})
	}
	fmt.Println("held")
	wg.Wait()
	return nil
}

func tell(c *ouroboros.Client, name string) error {
	f, err := c.Alloc(context.Background(), name, nil)
	if err != nil {
		return err
	}
	for i := range 3 {
		if _, err := fmt.Fprint(f, "message ", i); err != nil {
			return err
		}
	}
	fmt.Println("told")
	select {}
}

// documented are the errors that a client may meet while servers and daemons
// are killed round it.
func documented(err error) bool {
	for _, e := range []error{ouroboros.ErrFlowDown, ouroboros.ErrName, ouroboros.ErrIPCP, ouroboros.ErrTimeout, ouroboros.ErrIRMd} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func load(c *ouroboros.Client, name string) error {
	fmt.Println("ready")
	buf := make([]byte, 4096)
	for i := 1; ; i++ {
		err := once(c, name, buf, i)
		if errors.Is(err, ouroboros.ErrIRMd) {
			return err
		}
		if err != nil && !documented(err) {
			fmt.Println("unexpected:", err)
		}
		if i%100 == 0 {
			fmt.Println("ok")
		}
	}
}

func once(c *ouroboros.Client, name string, buf []byte, i int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	f, err := c.Alloc(ctx, name, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	f.SetReadTimeout(5 * time.Second)
	for k := range 8 {
		size := 1 + (i*97+k*513)%len(buf)
		if _, err := f.Write(buf[:size]); err != nil {
			return err
		}
		n, err := f.Read(buf)
		if err != nil {
			return err
		}
		if n != size {
			return fmt.Errorf("echo of %d bytes is %d bytes", size, n)
		}
		// A message that exactly fills the buffer is followed by its end.
		if n == len(buf) {
			if _, err := f.Read(buf); err != nil {
				return err
			}
		}
	}
	return nil
}
