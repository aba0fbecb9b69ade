package oecho

import (
	"context"
	"fmt"
	"time"

	"ouroboros"
	"ouroboros/internal/tool/args"
	"ouroboros/internal/tool/clock"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/serve"
	"ouroboros/qos"
)

const (
	// patience is how long a server waits for the message of a client.
	patience = 5 * time.Second
	// answerTime is how long a client waits for the answer.
	answerTime = 10 * time.Second
	// failed is the exit code of a client without an answer.
	failed = 255
)

// tool is one run.
type tool struct {
	listen, json bool
	env          console.Env
	out          *console.Output
}

// Main is the tool.
func Main(ctx context.Context, words []string, env console.Env) int {
	t := &tool{env: env}
	set := args.New("oecho", "Sends a message to a server of the name oecho, and prints what comes back.")
	set.Flag(&t.listen, "-l", "--listen", "Be the server")
	set.Flag(&t.json, "", "--json", "Print JSON, an object for each message")
	if code, ok := env.Parse("oecho", set, words); !ok {
		return code
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	t.out = console.NewOutput(env.Stdout, stop)
	node := env.Connect()
	if node == nil {
		return 1
	}
	defer node.Close()
	if t.listen {
		return t.server(ctx, node)
	}
	return t.client(ctx, node)
}

// message is a message as JSON.
type message struct {
	Tool    string  `json:"tool"`
	FD      int     `json:"fd"`
	Flow    int     `json:"flow"`
	Message string  `json:"message"`
	Bytes   int     `json:"bytes"`
	RTT     float64 `json:"rtt_us,omitempty"` // at the client
}

// print prints a message, as JSON or behind the words for it.
func (t *tool) print(m message, words string) {
	m.Tool = "oecho"
	if t.json {
		t.out.JSON(m)
		return
	}
	t.out.Printf(words, m.Message)
}

// say prints a line that is not for JSON.
func (t *tool) say(line string) {
	if !t.json {
		t.out.Printf("%s\n", line)
	}
}

func (t *tool) client(ctx context.Context, node *ouroboros.Client) int {
	flow, err := node.Alloc(ctx, Name, &qos.Raw)
	if err != nil {
		t.env.Fail("Failed to allocate flow.", err)
		return failed
	}
	defer flow.Close()
	release := context.AfterFunc(ctx, func() { flow.SetDeadline(serve.Past) })
	defer release()
	flow.SetReadTimeout(answerTime)
	c := clock.New()
	sent := c.Now()
	if _, err := flow.Write(encode(greeting)); err != nil {
		t.env.Fail("Failed to write packet.", err)
		return failed
	}
	buf := make([]byte, maxMessage)
	n, err := flow.Read(buf)
	if err != nil {
		t.env.Fail("Failed to read packet.", err)
		return failed
	}
	t.print(message{
		FD: console.FirstFD, Flow: flow.ID(), Message: decode(buf[:n]), Bytes: n,
		RTT: float64(c.Now()-sent) / 1e3,
	}, "Server replied with %s\n")
	return 0
}

func (t *tool) server(ctx context.Context, node *ouroboros.Client) int {
	t.say("Starting the server.")
	err := serve.Each(ctx, node, func(err error) { t.env.Fail("Failed to accept flow.", err) }, t.echo)
	if err != nil {
		return t.env.Ended(err)
	}
	return 0
}

// echo answers the one message of a client.
func (t *tool) echo(ctx context.Context, flow *ouroboros.Flow, fd int) {
	t.say("New flow.")
	flow.SetReadTimeout(patience)
	flow.SetWriteTimeout(patience)
	buf := make([]byte, maxMessage)
	n, err := flow.Read(buf)
	if err != nil {
		if ctx.Err() == nil {
			t.env.Fail(fmt.Sprintf("Failed to read packet (fd %d).", fd), err)
		}
		return
	}
	t.print(message{FD: fd, Flow: flow.ID(), Message: decode(buf[:n]), Bytes: n}, "Message from client is %s.\n")
	if _, err := flow.Write(buf[:n]); err != nil && ctx.Err() == nil {
		t.env.Fail(fmt.Sprintf("Failed to write packet (fd %d).", fd), err)
	}
}
