package registry

import (
	"errors"

	"ouroboros/internal/errno"
)

// refusal explains the number with which the node of the server refused an
// allocation to dst. Errors that say more than a number are left as they are:
// they are of this node.
//
//	number  sent by a node when
//	1007    it has no name of the hash that was asked for
//	1003    no process that is bound to the name accepts
//	1009    it does not believe the request: its time, a repetition, who asks
//	1008    the two sides cannot agree on encryption
//	1004    its IPCP is not in a layer, or not any more
//	1002    it is stopping
//	110     nobody accepted in time
//	105     a limit of it is reached
//	90      its answer is longer than a message of the layer
//	1       it could not serve the request
func refusal(err error, dst string) error {
	var d *errno.Detail
	if errors.As(err, &d) || errors.Is(err, errno.Again) {
		return err
	}
	var number interface{ Errno() int }
	n := errno.Number(err)
	if !errors.As(err, &number) && n == errno.Perm.Errno() {
		return err // not a number, but words of this node
	}
	said := func(format string, args ...any) *errno.Detail { return errno.New(errno.Of(n), format, args...) }
	switch errno.Of(n) {
	case errno.NameError:
		return said("the node that the layer names as its server does not know it").
			Next("register it there again: irm name register %s layer LAYER", dst)
	case errno.IPCP:
		return said("no process accepts it on the node of the server").
			Next("start a server there that is bound to it: irm bind program PROGRAM name %s", dst)
	case errno.AuthFailed:
		return said("the node of the server does not believe who asks, or when").
			Next("its log says why; see the certificate that this node shows (irm cert check %s), the clients that the server allows, and the clocks of both nodes, which may differ by 0.1 s", dst)
	case errno.Crypt:
		return said("the node of the server wants the flow encrypted in another way").
			Next("its log says why; see what this node asks for (irm cert check %s), and make it what the server demands", dst)
	case errno.IPCPState:
		return said("the IPCP of the server is not in the layer any more").Next("try again when it has come back")
	case errno.IRMd:
		return said("the node of the server is stopping").Next("try again when it has come back")
	case errno.TimedOut:
		return said("no process on the node of the server accepted it in time").
			Next("see whether the server hangs, or has as many flows as it can serve")
	case errno.NoBufs:
		return said("the node of the server has reached a limit").Next("try again later")
	case errno.MsgSize:
		return said("the answer of the server's node does not fit into a message of the layer").
			Next("use a shorter certificate for %q, or a kex with shorter keys, or a layer with longer messages", dst)
	case errno.Perm:
		return said("the node of the server refused it and does not say why").Next("see its log")
	}
	return said("the node of the server refused it: %v", errno.Of(n)).Next("see its log")
}
