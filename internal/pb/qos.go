package pb

import (
	"math"

	"ouroboros/qos"
)

// QoSOf gives a specification as it is carried.
func QoSOf(s qos.Spec) *QoS {
	return &QoS{
		Delay: s.Delay, Bandwidth: s.Bandwidth, Availability: uint32(s.Availability),
		Loss: s.Loss, Ber: s.BER, InOrder: s.InOrder, MaxGap: s.MaxGap, Timeout: s.Timeout,
	}
}

// Spec gives the carried specification; nil is raw. An availability that the
// wire cannot carry becomes the highest that it can.
func (q *QoS) Spec() qos.Spec {
	if q == nil {
		return qos.Raw
	}
	return qos.Spec{
		Delay: q.Delay, Bandwidth: q.Bandwidth, Availability: uint8(min(q.Availability, math.MaxUint8)),
		Loss: q.Loss, BER: q.Ber, InOrder: q.InOrder, MaxGap: q.MaxGap, Timeout: q.Timeout,
	}
}
