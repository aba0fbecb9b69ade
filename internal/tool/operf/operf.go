package operf

import (
	"context"
	"fmt"

	"ouroboros/internal/tool/console"
)

// Main is the tool.
func Main(ctx context.Context, words []string, env console.Env) int {
	o := new(Options)
	set := o.commandLine()
	if code, ok := env.Parse("operf", set, words); !ok {
		return code
	}
	if err := o.finish(); err != nil {
		return env.Mistake(set, err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out := console.NewOutput(env.Stdout, stop)
	defer out.Flush()
	for _, notice := range o.Notices {
		if o.JSON {
			fmt.Fprintln(env.Stderr, notice)
		} else {
			out.Printf("%s\n", notice)
		}
	}
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
