package oping

import (
	"errors"
	"math"
	"time"

	"ouroboros/internal/tool/args"
	"ouroboros/qos"
)

// Options are those of the command line.
type Options struct {
	Listen bool
	Poll   bool // server: never sleep
	Busy   bool // server: one flow, spinning

	Name      string
	Count     int64 // requests to send
	Duration  time.Duration
	Interval  time.Duration
	Flood     bool // next request when the reply is there
	FloodBusy bool // the same without sleeping for the reply
	QoS       qos.Spec
	Size      int
	Quiet     bool
	TimeOfDay bool

	JSON      bool
	Histogram bool

	// Timed says that a flood ends after Duration, instead of after the
	// requests that fit into it.
	Timed bool

	// Notices are to be told before the work: what was changed.
	Notices []string
}

// Limits and defaults.
const (
	maxCount        = math.MaxInt32
	maxInterval     = 10 * time.Second
	defaultInterval = time.Second
	notGiven        = -1
)

var errNegative = errors.New("want a number that is not negative")

// commandLine describes the options; they are read into o.
func (o *Options) commandLine() *args.Set {
	*o = Options{Count: maxCount, Interval: notGiven, QoS: qos.Raw, Size: DefaultSize}
	s := args.New("oping", "Measures the round-trip time between this program as a client and as a server.")
	s.Flag(&o.Listen, "-l", "--listen", "Be the server")
	s.Group("Server")
	s.Flag(&o.Poll, "", "--poll", "Ask for messages all the time: quicker, takes a CPU")
	s.Flag(&o.Busy, "", "--busy", "Serve one flow only, and spin on it: quickest")
	s.Group("Client")
	s.String(&o.Name, "-n", "--server-name", "NAME", "Name of the server")
	s.Func(o.setCount, "-c", "--count", "N", "Stop after N requests")
	s.Duration(&o.Duration, time.Millisecond, "-d", "--duration", "TIME",
		"Send as many requests as fit into TIME (ms, or with s,\nm, h, d); a flood without -i floods for TIME")
	s.Flag(&o.Flood, "-f", "--flood", "Send the next request when the reply is there")
	s.Flag(&o.FloodBusy, "-F", "--flood-busy", "As -f, spinning for the reply: quicker, takes a CPU")
	s.Func(o.setInterval, "-i", "--interval", "TIME", "Time between requests (default 1000 ms, at most 10 s)")
	s.Func(o.setQoS, "-q", "--qos", "QOS", "raw, best, video, voice or data (default raw)")
	s.Func(o.setSize, "-s", "--size", "BYTES", "Size of a message, 64 to 1500 (default 64)")
	s.Flag(&o.TimeOfDay, "-D", "--timeofday", "Begin each line with the time of day")
	s.Flag(&o.Histogram, "", "--histogram", "Show percentiles and a histogram at the end")
	s.Group("Both")
	s.Flag(&o.Quiet, "-Q", "--quiet", "Print nothing for each message")
	s.Flag(&o.JSON, "", "--json", "Print JSON: the client one object at the end, the\nserver one for each flow that begins or ends")
	return s
}

// finish checks what was read as a whole, and reckons what follows from it.
func (o *Options) finish() error {
	intervalGiven := o.Interval >= 0
	if !intervalGiven {
		o.Interval = defaultInterval
	}
	if o.Listen {
		return nil
	}
	if o.Name == "" {
		return args.Lost("No server specified.")
	}
	if o.Duration > 0 {
		switch {
		case (o.Flood || o.FloodBusy) && !intervalGiven:
			o.Timed = true
		case o.Interval == 0:
			o.Count = o.Duration.Milliseconds() * 10
		default:
			o.Count = int64(o.Duration / o.Interval)
		}
		o.Count = min(o.Count, maxCount)
	}
	return nil
}

func (o *Options) notice(text string) { o.Notices = append(o.Notices, text) }

func (o *Options) setCount(word string) error {
	n, err := args.ParseInt(word)
	switch {
	case err != nil:
		return err
	case n < 0:
		return errNegative
	}
	o.Count = min(n, maxCount)
	return nil
}

func (o *Options) setInterval(word string) error {
	d, err := args.ParseDuration(word, time.Millisecond)
	if err != nil {
		return err
	}
	if d > maxInterval {
		o.notice("Ping interval truncated to 10s.")
		d = maxInterval
	}
	o.Interval = d
	return nil
}

func (o *Options) setQoS(word string) error {
	spec, ok := qos.Parse(word)
	if !ok {
		o.notice("Unknown QoS cube, defaulting to raw.")
		spec = qos.Raw
	}
	o.QoS = spec
	return nil
}

func (o *Options) setSize(word string) error {
	n, err := args.ParseInt(word)
	switch {
	case err != nil:
		return err
	case n > MaxSize:
		o.notice("Packet size truncated to 1500 bytes.")
		n = MaxSize
	case n < MinSize:
		o.notice("Packet size set to 64 bytes.")
		n = MinSize
	}
	o.Size = int(n)
	return nil
}
