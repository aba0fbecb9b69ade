package operf

import (
	"reflect"
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
	defaults := Options{Name: "n", Duration: time.Minute, Size: 1500, Rate: 1000000, QoS: qos.Raw}
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
		{"--server-name n -t uni", defaults},
		{"-n n --test bi", with(func(o *Options) { o.Test = Bi })},
		{"-n n -d 250", with(func(o *Options) { o.Duration = 250 * time.Millisecond })},
		{"-n n -d 2s", with(func(o *Options) { o.Duration = 2 * time.Second })},
		{"-n n -r 5", with(func(o *Options) { o.Rate = 5000 })},
		{"-n n -r 5k", with(func(o *Options) { o.Rate = 5000 })},
		{"-n n -r 100M", with(func(o *Options) { o.Rate = 100000000 })},
		{"-n n -r 2G", with(func(o *Options) { o.Rate = 2000000000 })},
		{"-n n -s 1048576", with(func(o *Options) { o.Size = 1048576 })},
		{"-n n -s 1048577", with(func(o *Options) {
			o.Size, o.Notices = 1048576, []string{"Packet size truncated to 1048576 bytes."}
		})},
		{"-n n -s 63", with(func(o *Options) { o.Size, o.Notices = 64, []string{"Packet size set to 64 bytes."} })},
		{"-n n -f --sleep --histogram --json", with(func(o *Options) {
			o.Flood, o.Sleep, o.Histogram, o.JSON = true, true, true, true
		})},
		{"-l -v -n n", with(func(o *Options) { o.Listen, o.Verbose = true, true })},
	} {
		t.Run(tc.line, func(t *testing.T) {
			got, err := parse(tc.line)
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
		"":            "No server specified.",
		"-n n -t tri": "Invalid test type",
		"-n n -r 0":   "Invalid rate.",
		"-n n -r 5T":  "Unknown rate unit: T.",
		"-n n -d 5y":  "Unknown time unit: y.",
		"-n n -s x":   `"x"`,
		"-n n -z":     "-z",
		"-n n x":      `"x"`,
	} {
		if _, err := parse(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", line, err, want)
		}
	}
}
