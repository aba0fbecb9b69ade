package ethmgmt

import "math/bits"

// SAP is the number of a service access point, an endpoint of eth-llc.
type SAP uint8

// The SAPs of flows. The highest two are those of peers only, which number
// them so.
const (
	ManagementSAP SAP = 1
	FirstSAP      SAP = 2
	LastSAP       SAP = 63 // of our own
	LastPeerSAP   SAP = 65
)

// Octet is the SAP in the header of a frame.
func (s SAP) Octet() byte { return bits.Reverse8(uint8(s)) }

// SAPOf is the SAP of an octet of a header.
func SAPOf(octet byte) SAP { return SAP(bits.Reverse8(octet)) }
