package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"regexp"
	"testing"
)

func TestStatus(t *testing.T) {
	n := newNode(t)
	run := func(words ...string) []byte {
		var out, bad bytes.Buffer
		if code := Run(context.Background(), words, Env{Stdout: &out, Stderr: &bad, Dial: func(context.Context, string) (Service, error) { return n, nil }}); code != 0 {
			t.Fatalf("exit code %d: %s", code, bad.String())
		}
		return out.Bytes()
	}
	shape := regexp.MustCompile(`^version    0\.0\npid        \d+\nuid        \d+\nsince      [-\d]+ [:\d]+\ndirectory  /run/ouroboros\nstate      forget\ncounters\n(  \w+ +\d+\n)+$`)
	if text := run("status"); !shape.Match(text) {
		t.Errorf("status is\n%s", text)
	}
	var s statusView
	d := json.NewDecoder(bytes.NewReader(run("status", "--json")))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}
	if s.Version != "0.0" || s.PID != os.Getpid() || s.Dir != "/run/ouroboros" || s.Since.IsZero() || s.Counters == nil {
		t.Errorf("status is %+v", s)
	}
}
