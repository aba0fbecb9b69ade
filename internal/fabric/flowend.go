package fabric

import (
	"ouroboros/internal/flow"
	"ouroboros/internal/registry"
)

// flowEnd is the end of a flow in the hands of an IPCP: one end of a pipe.
type flowEnd struct{ flow *flow.Pipe }

var _ registry.FlowEnd = (*flowEnd)(nil)

// Flow implements registry.FlowEnd.
func (e *flowEnd) Flow() flow.Flow { return e.flow }

// Event implements registry.End. The pipe tells its user of the other end.
func (e *flowEnd) Event(flow.Event) {}

// Close implements registry.End.
func (e *flowEnd) Close() { e.flow.Dealloc() }
