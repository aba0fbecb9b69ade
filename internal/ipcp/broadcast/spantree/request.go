package spantree

import (
	"time"

	"ouroboros/internal/wire/tree"
)

// ask requests news of roots that this member wants and that are not feasible
// as they are.
func (m *Machine) ask(now time.Time) {
	for _, p := range m.ports {
		root, seq := m.want(p, now)
		if root == 0 {
			p.wanted = false
			continue
		}
		if !p.wanted || root != p.askRoot || seq != p.askSeq {
			p.wanted, p.askRoot, p.askSeq = true, root, seq
			if p.askAt.Before(now) {
				p.askAt = now
			}
		}
		if now.Before(p.askAt) {
			continue
		}
		p.askAt = now.Add(askAgain)
		m.Requests++
		m.out = append(m.out, Sent{p, tree.Message{
			Kind: tree.Request, Hops: requestHops, Sender: m.own, Root: root, Seq: seq,
		}})
	}
}

// want gives what is asked of a neighbour: news of root that are not older than
// seq; root 0 = nothing.
func (m *Machine) want(p *Port, now time.Time) (root, seq uint64) {
	if !p.up() || p.doubted(now) || p.root >= m.own || p.hops >= MaxHops {
		return 0, 0
	}
	d := m.dist[p.root]
	switch {
	case d == nil, p.attached && d.nearer(p.seq, p.hops): // nothing, or not any more
		return 0, 0
	case p.root == m.root && !m.attached && m.parent == nil && (p.attached || p.child): // the search
	case p.root < m.root && p.attached: // a better root
	default:
		return 0, 0
	}
	return p.root, d.seq + 1
}

// asked serves a request, or passes it on towards the root: to the parent, or
// when it comes from there, as from one that searches, to all who may know.
func (m *Machine) asked(now time.Time, from *Port, r tree.Message) {
	switch {
	case r.Root != m.root || r.Hops == 0 || r.Hops > requestHops:
		return
	case m.root == m.own:
		m.news(now, from, r.Seq)
		return
	case m.attached && m.seq >= r.Seq:
		from.due = now // it has missed that
		return
	case from.passes(now, r):
		return
	}
	r.Hops--
	r.Sender = m.own
	if m.attached && m.parent != from {
		m.out = append(m.out, Sent{m.parent, r})
		return
	}
	for _, p := range m.ports {
		if p != from && p.up() && p.root == m.root && (p.attached || p.child) {
			m.out = append(m.out, Sent{p, r})
		}
	}
}

// news makes the root's own number rise. Nobody who is honest asks for more
// than the next one.
func (m *Machine) news(now time.Time, from *Port, seq uint64) {
	switch {
	case seq <= m.ownSeq:
		from.due = now
	case seq != m.ownSeq+1:
		m.Refused++
	case now.Sub(m.newest) >= newsPause:
		m.ownSeq, m.newest = seq, now
		m.seq = seq
		m.News++
	}
}

// passes reports whether the request went on a moment ago, and notes it.
func (p *Port) passes(now time.Time, r tree.Message) bool {
	oldest := &p.passed[0]
	for i := range p.passed {
		q := &p.passed[i]
		if q.root == r.Root && q.seq == r.Seq && now.Sub(q.at) < askAgain/2 {
			return true
		}
		if q.at.Before(oldest.at) {
			oldest = q
		}
	}
	*oldest = passed{r.Root, r.Seq, now}
	return false
}
