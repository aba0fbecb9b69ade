package ipcp

import (
	"context"

	"ouroboros/internal/errno"
	"ouroboros/internal/flow"
	"ouroboros/irm"
	"ouroboros/qos"
)

// Unsupported answers errno.NotSup to every operation. A kind embeds it and
// writes those that it has.
type Unsupported struct{}

// Bootstrap and the others implement IPCP.
func (Unsupported) Bootstrap(context.Context, *irm.Config) (irm.LayerInfo, error) {
	return irm.LayerInfo{}, errno.NotSup
}

func (Unsupported) Enroll(context.Context, string) (irm.LayerInfo, error) {
	return irm.LayerInfo{}, errno.NotSup
}

func (Unsupported) Connect(context.Context, string, string, qos.Spec) error { return errno.NotSup }
func (Unsupported) Disconnect(context.Context, string, string) error        { return errno.NotSup }
func (Unsupported) Reg(context.Context, []byte) error                       { return errno.NotSup }
func (Unsupported) Unreg(context.Context, []byte) error                     { return errno.NotSup }
func (Unsupported) Query(context.Context, []byte) error                     { return errno.NotSup }

func (Unsupported) AllocFlow(context.Context, *Request) (*Reply, error) { return nil, errno.NotSup }
func (Unsupported) Join(context.Context, []byte) (flow.Flow, error)     { return nil, errno.NotSup }
