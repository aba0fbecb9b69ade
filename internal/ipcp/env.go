package ipcp

import (
	"context"
	"log/slog"
	"time"
)

// Env is what an IPCP is made from and lives in.
type Env struct {
	Identity Identity
	Host     Host
	Log      *slog.Logger // with the IPCP as attribute

	// Context ends when the IPCP is closed or has failed.
	Context context.Context

	// Go runs f on a goroutine of the IPCP: a panic in it fails the IPCP, and
	// Guard.Close waits for it. After the IPCP has ended it does nothing. Every
	// goroutine of an IPCP starts here.
	Go func(f func())

	// AfterFunc is time.AfterFunc with the same care. f does not run after the
	// IPCP has ended.
	AfterFunc func(d time.Duration, f func()) *time.Timer
}

// Constructor makes an IPCP of one kind, in state Boot.
type Constructor func(env Env) (IPCP, error)
