package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"ouroboros/irm"
)

// watched runs irm watch with more words until it has seen enough of a name
// that comes and goes.
func watched(t *testing.T, words ...string) string {
	t.Helper()
	n := newNode(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out, bad bytes.Buffer
	code := make(chan int)
	go func() {
		env := Env{Stdout: &out, Stderr: &bad, Dial: func(context.Context, string) (Service, error) { return n, nil }}
		code <- Run(ctx, append([]string{"watch"}, words...), env)
	}()
	for {
		n.CreateName(ctx, irm.NameInfo{Name: "a\nb"})
		n.DestroyName(ctx, "a\nb")
		select {
		case c := <-code:
			if c != 0 || bad.Len() > 0 {
				t.Fatalf("exit code %d: %s", c, bad.String())
			}
			return out.String()
		default:
		}
	}
}

func TestWatchWritesOneLineAnEvent(t *testing.T) {
	out := watched(t, "count", "3", "kind", "name")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines:\n%s", len(lines), out)
	}
	shape := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} (name (created|destroyed) a\\nb|lost.*)$`)
	for _, l := range lines {
		if !shape.MatchString(l) {
			t.Errorf("line %q", l)
		}
	}
}

func TestWatchWritesJSON(t *testing.T) {
	out := watched(t, "--json", "count", "2")
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	for range 2 {
		var e eventView
		if err := d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		if e.Kind != "lost" && (e.Kind != "name" || e.Name != "a\nb" || e.Time.IsZero()) {
			t.Errorf("event %+v", e)
		}
	}
	if strings.Count(out, "\n") != 2 {
		t.Errorf("not one line an event:\n%s", out)
	}
}

func TestAnInterruptedWatchIsNoFailure(t *testing.T) {
	n := newNode(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var bad bytes.Buffer
	if code := Run(ctx, []string{"watch"}, Env{Stdout: &bad, Stderr: &bad, Dial: func(context.Context, string) (Service, error) { return n, nil }}); code != 0 || bad.Len() > 0 {
		t.Errorf("exit code %d: %s", code, bad.String())
	}
}
