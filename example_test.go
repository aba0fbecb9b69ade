package ouroboros_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"

	"ouroboros"
	"ouroboros/qos"
	"ouroboros/stack"
)

// Two clients of one node, here in one program: a server that is bound to a
// name, and who allocates a flow to it.
func Example() {
	ctx := context.Background()
	node, err := stack.New(stack.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	server, _ := node.Client("server")
	l, err := server.Listen(ctx, "hello")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		f, err := l.AcceptFlow(ctx)
		if err != nil {
			return
		}
		defer f.Close()
		buf := make([]byte, 100)
		n, _ := f.Read(buf)
		fmt.Fprintf(f, "hello %s", buf[:n])
	}()

	client, _ := node.Client("client")
	f, err := client.Alloc(ctx, "hello", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	fmt.Fprint(f, "world") // one write is one message
	buf := make([]byte, 100)
	n, _ := f.Read(buf)
	fmt.Printf("%s\n", buf[:n])
	// Output: hello world
}

// A Listener is a net.Listener and DialContext fits http.Transport: HTTP runs
// over a flow as it is.
func ExampleClient_DialContext() {
	node, err := stack.New(stack.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	server, _ := node.Client("web server")
	l, err := server.Listen(context.Background(), "web")
	if err != nil {
		log.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "you asked for %s", r.URL.Path)
	})}
	go web.Serve(l)
	defer web.Close()

	browser, _ := node.Client("browser")
	transport := &http.Transport{DialContext: browser.DialContext}
	defer transport.CloseIdleConnections()
	r, err := (&http.Client{Transport: transport}).Get("http://web/index")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	fmt.Printf("%s\n", body)
	// Output: you asked for /index
}

// One goroutine serves many flows.
func ExampleFlowSet() {
	ctx := context.Background()
	node, err := stack.New(stack.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	server, _ := node.Client("server")
	l, err := server.Listen(ctx, "sum")
	if err != nil {
		log.Fatal(err)
	}
	client, _ := node.Client("client")
	set := ouroboros.NewFlowSet()
	defer set.Close()
	go func() {
		for {
			f, err := l.AcceptFlow(ctx)
			if err != nil {
				return
			}
			f.SetFlags(ouroboros.DefaultFlags | ouroboros.NonBlockingRead)
			set.Add(f)
		}
	}()
	for i := range 3 {
		f, err := client.Alloc(ctx, "sum", &qos.Data)
		if err != nil {
			log.Fatal(err)
		}
		f.Write([]byte{byte(i + 1)})
		f.Close()
	}

	sum, open := 0, 3
	var events []ouroboros.FlowEvent
	buf := make([]byte, 1)
	for open > 0 {
		if events, err = set.Wait(ctx, events[:0]); err != nil {
			log.Fatal(err)
		}
		for _, e := range events {
			switch e.Type {
			case ouroboros.FlowPacket:
				if n, _ := e.Flow.Read(buf); n == 1 {
					sum += int(buf[0])
				}
			case ouroboros.FlowDealloc:
				e.Flow.Close()
				open--
			}
		}
	}
	fmt.Println("sum", sum)
	// Output: sum 6
}
