package eth

import (
	"fmt"

	wire "ouroboros/internal/wire/ethmgmt"
)

// Show implements ipcp.IPCP: what the Shim shows, and the device.
func (i *IPCP) Show() map[string]any {
	l := i.layer.Load()
	if l == nil {
		return map[string]any{}
	}
	shown := l.Shim.Show()
	c := &l.count
	directory := shown["directory"].(map[string]any)
	directory["queries_sent"] = c.queried.Load()
	directory["queries_heard"] = c.queries.Load()
	directory["queries_answered"] = c.answered.Load()
	directory["unsolicited_answers"] = c.unsolicited.Load()
	flows := shown["flows"].(map[string]any)
	flows["foreign_endpoint"] = c.endpoint.Load()
	shown["frames"] = map[string]any{
		"runts": c.runt.Load(), "wrong_length": c.length.Load(), "other_protocol": c.foreign.Load(),
		"group_source": c.group.Load(),
	}
	s := l.port.state.Load()
	device := map[string]any{
		"name": l.port.device, "present": s.Present, "up": s.Up, "mtu": s.MTU, "address": wire.MAC(s.MAC).String(),
		"opened_anew": l.port.reopens.Load(), "lost_news": l.port.monitor.Lost(),
	}
	if l.kind.Typed() {
		device["ethertype"] = fmt.Sprintf("0x%04X", l.ethertype)
	}
	if k := l.port.link.Load(); k != nil {
		st := k.Stats()
		device["received"], device["received_bytes"] = st.Received, st.ReceivedBytes
		device["sent"], device["sent_bytes"] = st.Sent, st.SentBytes
		device["short_takes"], device["send_errors"] = st.ShortTakes, st.SendErrors
		device["overflows"], device["truncated"] = st.Overflows, st.Truncated
		device["queued"] = k.QueueLen()
		device["ring_slots"], device["send_buffer"] = st.RingSlots, st.SendBuffer
		if st.LastError != nil {
			device["last_error"] = st.LastError.Error()
		}
	}
	shown["device"] = device
	return shown
}
