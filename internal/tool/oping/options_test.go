package oping

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"ouroboros/qos"
)

// parse reads a command line.
func parse(words []string) (*Options, error) {
	o := new(Options)
	if err := o.commandLine().Parse(words); err != nil {
		return nil, err
	}
	return o, o.finish()
}

func TestOptions(t *testing.T) {
	defaults := Options{Name: "n", Count: maxCount, Interval: time.Second, QoS: qos.Raw, Size: 64}
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
		{"--server-name n", defaults},
		{"-n n -c 3", with(func(o *Options) { o.Count = 3 })},
		{"-n n --count 99999999999", defaults},
		{"-n n -i 0", with(func(o *Options) { o.Interval = 0 })},
		{"-n n -i 20", with(func(o *Options) { o.Interval = 20 * time.Millisecond })},
		{"-n n --interval 20ms", with(func(o *Options) { o.Interval = 20 * time.Millisecond })},
		{"-n n -i 10s", with(func(o *Options) { o.Interval = 10 * time.Second })},
		{"-n n -i 10001", with(func(o *Options) {
			o.Interval = 10 * time.Second
			o.Notices = []string{"Ping interval truncated to 10s."}
		})},
		{"-n n -i 1h", with(func(o *Options) {
			o.Interval = 10 * time.Second
			o.Notices = []string{"Ping interval truncated to 10s."}
		})},
		{"-n n -d 3s", with(func(o *Options) { o.Duration, o.Count = 3*time.Second, 3 })},
		{"-n n -d 1m -i 500 -c 7", with(func(o *Options) {
			o.Duration, o.Interval, o.Count = time.Minute, 500*time.Millisecond, 120
		})},
		{"-n n -d 2s -i 0", with(func(o *Options) { o.Duration, o.Interval, o.Count = 2*time.Second, 0, 20000 })},
		{"-n n -d 365d -i 0", with(func(o *Options) { o.Duration, o.Interval = 365*24*time.Hour, 0 })},
		{"-n n -f -d 2s", with(func(o *Options) { o.Flood, o.Timed, o.Duration = true, true, 2*time.Second })},
		{"-n n -F -d 2s -c 9", with(func(o *Options) {
			o.FloodBusy, o.Timed, o.Duration, o.Count = true, true, 2*time.Second, 9
		})},
		{"-n n -f -d 2s -i 10", with(func(o *Options) {
			o.Flood, o.Duration, o.Interval, o.Count = true, 2*time.Second, 10*time.Millisecond, 200
		})},
		{"-n n -s 1500", with(func(o *Options) { o.Size = 1500 })},
		{"-n n -s 1501", with(func(o *Options) {
			o.Size = 1500
			o.Notices = []string{"Packet size truncated to 1500 bytes."}
		})},
		{"-n n --size 63", with(func(o *Options) { o.Notices = []string{"Packet size set to 64 bytes."} })},
		{"-n n -s -1", with(func(o *Options) { o.Notices = []string{"Packet size set to 64 bytes."} })},
		{"-n n -q data", with(func(o *Options) { o.QoS = qos.Data })},
		{"-n n --qos voice", with(func(o *Options) { o.QoS = qos.Voice })},
		{"-n n -q gold", with(func(o *Options) { o.Notices = []string{"Unknown QoS cube, defaulting to raw."} })},
		{"-n n -Q -D --json --histogram", with(func(o *Options) {
			o.Quiet, o.TimeOfDay, o.JSON, o.Histogram = true, true, true, true
		})},
		{"-l", with(func(o *Options) { o.Listen, o.Name = true, "" })},
		{"--listen --poll", with(func(o *Options) { o.Listen, o.Poll, o.Name = true, true, "" })},
		{"-l --busy --quiet", with(func(o *Options) { o.Listen, o.Busy, o.Quiet, o.Name = true, true, true, "" })},
		{"-n -l", with(func(o *Options) { o.Name = "-l" })},
	} {
		t.Run(tc.line, func(t *testing.T) {
			got, err := parse(strings.Fields(tc.line))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", *got, tc.want)
			}
		})
	}
}

func TestMistakesInOptions(t *testing.T) {
	for line, want := range map[string]string{
		"":                 "No server specified.",
		"-c 3":             "No server specified.",
		"-n n -i 5x":       "Unknown time unit: x.",
		"-n n -d 5parsecs": "Unknown time unit: parsecs.",
		"-n n -c three":    `"three"`,
		"-n n -c -3":       `"-3"`,
		"-n n -s big":      `"big"`,
		"-n":               "-n",
		"-n n -z":          "-z",
		"-n n more":        `"more"`,
	} {
		if _, err := parse(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", line, err, want)
		}
	}
}
