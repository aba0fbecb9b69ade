package obc

import (
	"context"
	"errors"

	"ouroboros"
	"ouroboros/internal/tool/args"
	"ouroboros/internal/tool/console"
	"ouroboros/internal/tool/serve"
)

const (
	// failed is the exit code of who could not join or write.
	failed = 255
	// bufferSize is the longest message that a reader reads.
	bufferSize = 1 << 20
)

// tool is one run.
type tool struct {
	listen, json bool
	layer, text  string
	count        int64
	env          console.Env
	out          *console.Output
}

// Main is the tool.
func Main(ctx context.Context, words []string, env console.Env) int {
	t := &tool{env: env, text: greeting}
	set := args.New("obc", "Sends a message to all who have joined a broadcast layer.")
	set.String(&t.layer, "-n", "--name", "LAYER", "Name of the broadcast layer")
	set.String(&t.text, "-m", "--message", "TEXT", "Message to send\n(default "+greeting+")")
	set.Flag(&t.listen, "-l", "--listen", "Print the messages of others")
	set.Int(&t.count, "-c", "--count", "N", "End after so many messages of others")
	set.Flag(&t.json, "", "--json", "Print JSON, an object for each message")
	if code, ok := env.Parse("obc", set, words); !ok {
		return code
	}
	switch {
	case t.layer == "":
		return env.Mistake(set, args.Lost("Please specify a name."))
	case t.count < 0:
		return env.Mistake(set, args.Errorf("A count is not negative."))
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
		return t.read(ctx, node)
	}
	return t.write(ctx, node)
}

// join joins the layer. Reads and writes end with ctx; leave ends all.
func (t *tool) join(ctx context.Context, node *ouroboros.Client) (flow *ouroboros.Flow, leave func(), err error) {
	flow, err = node.Join(ctx, t.layer)
	if err != nil {
		return nil, nil, err
	}
	release := context.AfterFunc(ctx, func() { flow.SetDeadline(serve.Past) })
	return flow, func() { release(); flow.Close() }, nil
}

func (t *tool) write(ctx context.Context, node *ouroboros.Client) int {
	flow, leave, err := t.join(ctx, node)
	if err != nil {
		t.env.Fail("Failed to join broadcast.", err)
		return failed
	}
	defer leave()
	if _, err := flow.Write(encode(t.text)); err != nil {
		t.env.Fail("Failed to write packet.", err)
		return failed
	}
	return 0
}

// message is a message as JSON.
type message struct {
	Tool    string `json:"tool"`
	FD      int    `json:"fd"`
	Flow    int    `json:"flow"`
	Layer   string `json:"layer"`
	Message string `json:"message"`
	Bytes   int    `json:"bytes"`
}

// say prints a line that is not for JSON.
func (t *tool) say(line string) {
	if !t.json {
		t.out.Printf("%s\n", line)
	}
}

func (t *tool) read(ctx context.Context, node *ouroboros.Client) int {
	t.say("Starting a reader.")
	flow, leave, err := t.join(ctx, node)
	if err != nil {
		t.env.Fail("Failed to join broadcast.", err)
		return failed
	}
	defer leave()
	flow.SetFlags(flow.Flags() | ouroboros.NoPartialRead)
	t.say("New flow.")
	buf := make([]byte, bufferSize)
	for n := int64(0); t.count == 0 || n < t.count; n++ {
		k, err := flow.Read(buf)
		switch {
		case ctx.Err() != nil:
			return 0
		case errors.Is(err, ouroboros.ErrMsgSize):
			t.env.Fail("A message was too long to be shown.", err)
			continue
		case err != nil:
			t.env.Fail("Failed to read.", err)
			return 0
		}
		t.print(flow, buf[:k])
	}
	return 0
}

// print prints a message.
func (t *tool) print(flow *ouroboros.Flow, p []byte) {
	if !t.json {
		t.out.Printf("Message is %s.\n", decode(p))
		return
	}
	t.out.JSON(message{
		Tool: "obc", FD: console.FirstFD, Flow: flow.ID(), Layer: t.layer, Message: decode(p), Bytes: len(p),
	})
}
