package ocbr

import (
	"strings"
	"testing"
	"time"

	"ouroboros/qos"
)

// parse reads a command line.
func parse(line string) (*Options, error) {
	o := new(Options)
	if err := o.commandLine().Parse(strings.Fields(line)); err != nil {
		return nil, err
	}
	return o, o.finish()
}

func TestOptions(t *testing.T) {
	defaults := Options{Name: "n", Interval: time.Second, Timeout: time.Second, Duration: time.Minute, Size: 1000, Rate: 1000000, QoS: qos.Raw}
	with := func(change func(*Options)) Options {
		o := defaults
		change(&o)
		return o
	}
	for _, tc := range []struct {
		line string
		want Options
	}{
		{"-n n", defaults},
		{"--server_apn n", defaults},
		{"--server-name n", defaults},
		{"-n n -d 2", with(func(o *Options) { o.Duration = 2 * time.Second })},
		{"-n n --duration 500ms", with(func(o *Options) { o.Duration = 500 * time.Millisecond })},
		{"-n n -f", with(func(o *Options) { o.Flood = true })},
		{"-n n -s 0", with(func(o *Options) { o.Size = 0 })},
		{"-n n -s 524288", with(func(o *Options) { o.Size = 524288 })},
		{"-n n -r 5", with(func(o *Options) { o.Rate = 5 })},
		{"-n n -r 5k", with(func(o *Options) { o.Rate = 5000 })},
		{"-n n --rate 5M", with(func(o *Options) { o.Rate = 5000000 })},
		{"-n n -r 5G", with(func(o *Options) { o.Rate = 5000000000 })},
		{"-n n --spin", with(func(o *Options) { o.Spin = true })},
		{"-n n --spin --sleep", defaults},
		{"-l -n n -i 5 -t 3 --json --histogram", with(func(o *Options) {
			o.Listen, o.Interval, o.Timeout, o.JSON, o.Histogram = true, 5*time.Second, 3*time.Second, true, true
		})},
	} {
		t.Run(tc.line, func(t *testing.T) {
			got, err := parse(tc.line)
			if err != nil {
				t.Fatal(err)
			}
			if *got != tc.want {
				t.Errorf("got  %+v\nwant %+v", *got, tc.want)
			}
		})
	}
}

func TestMistakesInOptions(t *testing.T) {
	for line, want := range map[string]string{
		"":               "No server specified.",
		"-n n -s 524289": "Maximum size: 524288.",
		"-n n -s -1":     "Size overflow.",
		"-n n -r 0":      "Invalid rate.",
		"-n n -r -5":     "Invalid rate.",
		"-n n -r 5T":     "Unknown rate unit: T.",
		"-n n -r x":      `"x"`,
		"-l -i 0":        "-i",
		"-l -t 0":        "-t",
		"-n n -z":        "-z",
	} {
		if _, err := parse(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", line, err, want)
		}
	}
}
