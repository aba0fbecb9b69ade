package stack

// counters gives the counters of the protocols round the flows on networks, by
// name.
func (g *guards) counters() map[string]uint64 {
	f, p, s := &g.frcp, &g.protect, &g.seal
	g.mu.Lock()
	open, leaving := g.open, len(g.leaving)
	g.mu.Unlock()
	return map[string]uint64{
		"flows_on_networks": uint64(open),
		"flows_lingering":   uint64(leaving),

		"guard_damaged":         p.Damaged.Load(),
		"guard_bare":            p.Bare.Load(),
		"guard_keepalives":      p.Alive.Load(),
		"guard_keepalives_sent": p.AliveOut.Load(),
		"guard_peers_silent":    p.Silent.Load(),
		"guard_overrun":         p.Overrun.Load(),

		"crypt_sealed":         s.Sealed.Load(),
		"crypt_opened":         s.Opened.Load(),
		"crypt_opened_earlier": s.Earlier.Load(),
		"crypt_opened_later":   s.Later.Load(),
		"crypt_refused":        s.Refused.Load(),
		"crypt_short":          s.Short.Load(),
		"crypt_repeated":       s.Repeated.Load(),
		"crypt_key_changes":    s.Epochs.Load(),

		"frcp_sent":             f.Sent.Load(),
		"frcp_sent_again":       f.Retransmitted.Load(),
		"frcp_timeouts":         f.Timeouts.Load(),
		"frcp_recoveries":       f.Recoveries.Load(),
		"frcp_acks_sent":        f.AcksSent.Load(),
		"frcp_windows_sent":     f.WindowsSent.Load(),
		"frcp_rendezvous_sent":  f.RDVSSent.Load(),
		"frcp_gave_up":          f.GaveUp.Load(),
		"frcp_received":         f.Received.Load(),
		"frcp_out_of_order":     f.OutOfOrder.Load(),
		"frcp_gaps":             f.Gaps.Load(),
		"frcp_acks":             f.AcksHeard.Load(),
		"frcp_rendezvous":       f.RDVSHeard.Load(),
		"frcp_duplicate":        f.Duplicate.Load(),
		"frcp_out_of_window":    f.OutOfWindow.Load(),
		"frcp_no_room":          f.Overfull.Load(),
		"frcp_no_run":           f.NoRun.Load(),
		"frcp_short":            f.Short.Load(),
		"frcp_bad_ack":          f.BadAck.Load(),
		"frcp_bad_window":       f.BadWindow.Load(),
		"frcp_too_long":         f.TooLong.Load(),
		"frcp_sent_after_close": f.Dropped.Load(),
	}
}
