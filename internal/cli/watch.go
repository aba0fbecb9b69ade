package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"ouroboros/internal/grammar"
	"ouroboros/irm"
)

func (c *call) status(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	s, err := svc.Status(ctx)
	if err != nil {
		return err
	}
	if c.Options.JSON {
		counters := s.Counters
		if counters == nil {
			counters = map[string]uint64{}
		}
		return c.json(statusView{s.Version, s.PID, s.UID, s.Since, s.Dir, s.State, counters})
	}
	if err := c.printf("version    %s\npid        %d\nuid        %d\nsince      %s\ndirectory  %s\nstate      %s\n",
		scalar(s.Version), s.PID, s.UID, s.Since.Local().Format(time.DateTime), scalar(s.Dir), scalar(s.State)); err != nil {
		return err
	}
	names := make([]string, 0, len(s.Counters))
	width := 0
	for n, v := range s.Counters {
		if v == 0 {
			continue // --json has them all
		}
		names = append(names, n)
		width = max(width, len(n))
	}
	if len(names) == 0 {
		return nil
	}
	sort.Strings(names)
	if err := c.printf("counters\n"); err != nil {
		return err
	}
	for _, n := range names {
		if err := c.printf("  %-*s  %d\n", width, n, s.Counters[n]); err != nil {
			return err
		}
	}
	return nil
}

// errEnough ends a watch that has seen what it was to see.
var errEnough = errors.New("enough events")

// watch prints events until ctx ends, which is no failure.
func (c *call) watch(ctx context.Context) error {
	svc, err := c.service(ctx)
	if err != nil {
		return err
	}
	left := grammar.Number(c.Value("count"))
	kinds := c.Values("kind")
	err = svc.Watch(ctx, func(e irm.Event) error {
		if len(kinds) > 0 && e.Kind != "lost" && !contains(kinds, e.Kind) {
			return nil
		}
		if err := c.event(e); err != nil {
			return err
		}
		if left--; left == 0 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) || ctx.Err() != nil {
		return nil
	}
	return err
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

// event writes one line.
func (c *call) event(e irm.Event) error {
	if c.Options.JSON {
		enc := json.NewEncoder(c.env.Stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(eventView(e))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", e.Time.Local().Format("2006-01-02T15:04:05.000"), e.Kind)
	if e.Action != "" {
		b.WriteString(" " + e.Action)
	}
	if e.Name != "" {
		fmt.Fprintf(&b, " %s", printable(e.Name))
	}
	if e.PID != 0 {
		fmt.Fprintf(&b, " pid=%d", e.PID)
	}
	if e.FlowID != 0 {
		fmt.Fprintf(&b, " flow=%d", e.FlowID)
	}
	if e.Layer != "" {
		fmt.Fprintf(&b, " layer=%s", printable(e.Layer))
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, " (%s)", printable(e.Detail))
	}
	return c.printf("%s\n", b.String())
}
