package shim

import "ouroboros/qos"

// Code says what a management message is. The numbers are not those of any
// wire: each edge has its own.
type Code uint8

// The messages. The last two are ours: a peer of another make does not know
// their codes and drops them.
const (
	FlowReq     Code = iota + 1 // a flow to Hash is wanted
	FlowReply                   // Response says whether it is given
	Probe                       // has the request with this id been seen?
	ProbeAnswer                 // Response is one of Unseen, Pending, Answered
)

// What a ProbeAnswer says of the request.
const (
	Unseen   int32 = 0 // it has not arrived: send it again
	Pending  int32 = 1 // the host is deciding
	Answered int32 = 2 // the reply has been sent, and is now sent again
)

// Message is a management message in terms that all edges share.
//
//	field      FlowReq     FlowReply    Probe       ProbeAnswer
//	Requester  own id      the peer's   own id      the peer's
//	Responder  0           own id       0           0
//	Response   0           0, -errno    0           see above
//	QoS        set         0            0           0
//	Hash       name        -            name        -
//	Data       OAP         OAP          RequestID   RequestID
//
// The slices are valid during a call only; who keeps them copies.
type Message struct {
	Code      Code
	Requester uint32 // endpoint of who asks
	Responder uint32 // endpoint of who is asked
	Response  int32
	QoS       qos.Spec
	Hash      []byte
	Data      []byte
}

// RequestIDSize is the length in bytes of a RequestID.
const RequestIDSize = 16

// RequestID tells the requests of one endpoint apart: the first bytes of the
// data, which are random in OAP.
type RequestID [RequestIDSize]byte

func requestID(data []byte) (id RequestID) {
	copy(id[:], data)
	return id
}
