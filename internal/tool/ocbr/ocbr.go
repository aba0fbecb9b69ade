package ocbr

import (
	"context"

	"ouroboros/internal/tool/console"
)

// Main is the tool.
func Main(ctx context.Context, words []string, env console.Env) int {
	o := new(Options)
	set := o.commandLine()
	if code, ok := env.Parse("ocbr", set, words); !ok {
		return code
	}
	if err := o.finish(); err != nil {
		return env.Mistake(set, err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out := console.NewOutput(env.Stdout, stop)
	node := env.Connect()
	if node == nil {
		return 1
	}
	defer node.Close()
	if o.Listen {
		return runServer(ctx, o, env, out, node)
	}
	return runClient(ctx, o, env, out, node)
}
