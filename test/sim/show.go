package sim

import (
	"encoding/json"
	"fmt"
)

// Shown is what is looked at of what a member shows of itself.
type Shown struct {
	Layer struct {
		Address string `json:"address"`
	} `json:"layer"`
	DT struct {
		Forwarding map[string][]string `json:"forwarding"`
		Spread     bool                `json:"equal_cost_spraying"`
		NoRoute    uint64              `json:"dropped_no_route"`
		Ports      []struct {
			Neighbour string `json:"neighbour"`
			Up        bool   `json:"up"`
			TTL       uint64 `json:"dropped_ttl"`
			NoRoute   uint64 `json:"dropped_no_route"`
			Back      uint64 `json:"dropped_back"`
			Full      uint64 `json:"dropped_full"`
			Marked    uint64 `json:"marked"`
		} `json:"ports"`
	} `json:"dt"`
	Directory struct {
		Counters struct {
			Rounds  int    `json:"rounds_max"`
			Lookups uint64 `json:"lookups"`
		} `json:"counters"`
	} `json:"directory"`
	Linkstate json.RawMessage `json:"linkstate"`
	Flows     json.RawMessage `json:"flows"`
}

// Show gives what the member of a node shows.
func (h *Host) Show() (*Shown, error) {
	ctx, cancel := h.net.Context(resolveTime)
	defer cancel()
	all, err := h.ShowIPCP(ctx, h.U)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	s := new(Shown)
	return s, json.Unmarshal(text, s)
}

// tables are the next hops of all members that run, as node numbers.
type tables struct {
	of [][][]int // by node and destination; nil = no way
}

// tables reads the forwarding tables. A next hop that is no member any more is
// -1.
func (n *Net) tables() (*tables, error) {
	shown := make([]*Shown, n.N)
	node := make(map[string]int)
	for i, h := range n.Hosts {
		if !h.Running() {
			continue
		}
		s, err := h.Show()
		if err != nil {
			return nil, err
		}
		shown[i] = s
		node[s.Layer.Address] = i
	}
	t := &tables{of: make([][][]int, n.N)}
	for i, s := range shown {
		if s == nil {
			continue
		}
		t.of[i] = make([][]int, n.N)
		for dst, next := range s.DT.Forwarding {
			d, ok := node[dst]
			if !ok || len(next) == 0 {
				continue
			}
			if !s.DT.Spread {
				next = next[:1] // the others are alternates
			}
			for _, a := range next {
				o, ok := node[a]
				if !ok {
					o = -1
				}
				t.of[i][d] = append(t.of[i][d], o)
			}
		}
	}
	return t, nil
}

// Walk follows the tables from every node to every other, over all hops that
// are in use, and fails when a way goes round, ends before its destination, or
// is missing. connected says whether a way is wanted; nil = always.
func (n *Net) Walk(connected func(from, to int) bool) error {
	t, err := n.tables()
	if err != nil {
		return err
	}
	const visiting, good = 1, 2
	for to, h := range n.Hosts {
		if !h.Running() {
			continue
		}
		state := make([]int, n.N)
		state[to] = good
		var walk func(at int) error
		walk = func(at int) error {
			state[at] = visiting
			for _, next := range t.of[at][to] {
				switch {
				case next < 0 || t.of[next] == nil:
					return fmt.Errorf("the way from %d to %d ends at a node that is gone", at, to)
				case state[next] == visiting:
					return fmt.Errorf("the way to %d goes round over %d and %d", to, at, next)
				case state[next] == good:
				default:
					if err := walk(next); err != nil {
						return err
					}
				}
			}
			state[at] = good
			return nil
		}
		for from, h := range n.Hosts {
			if !h.Running() || from == to {
				continue
			}
			wanted := connected == nil || connected(from, to)
			if wanted && len(t.of[from][to]) == 0 {
				return fmt.Errorf("node %d has no way to %d", from, to)
			}
			if state[from] == 0 {
				if err := walk(from); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
