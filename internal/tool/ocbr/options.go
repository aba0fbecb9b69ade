package ocbr

import (
	"errors"
	"time"

	"ouroboros/internal/tool/args"
	"ouroboros/qos"
)

// Options are those of the command line.
type Options struct {
	Listen bool

	Interval  time.Duration // server: between reports
	Timeout   time.Duration // server: silence that ends a test
	Histogram bool          // server: of the time between messages

	Name     string
	QoS      qos.Spec
	Duration time.Duration
	Flood    bool
	Size     int64
	Rate     int64 // bit/s
	Spin     bool  // between messages, instead of sleeping

	JSON bool
}

var errNotPositive = errors.New("want more than 0")

// commandLine describes the options; they are read into o.
func (o *Options) commandLine() *args.Set {
	*o = Options{
		Interval: time.Second, Timeout: time.Second,
		Duration: time.Minute, Size: 1000, Rate: 1000000, QoS: qos.Raw,
	}
	s := args.New("ocbr", "Sends messages from a client to a server at a constant bit rate.")
	s.Flag(&o.Listen, "-l", "--listen", "Be the server")
	s.Group("Server")
	s.Func(positive(&o.Interval), "-i", "--interval", "TIME", "Time between reports (s, default 1)")
	s.Func(positive(&o.Timeout), "-t", "--timeout", "TIME", "Silence that ends a test (s, default 1)")
	s.Flag(&o.Histogram, "", "--histogram", "Show percentiles and a histogram of the time between\ntwo messages when a flow ends")
	s.Group("Client")
	s.String(&o.Name, "-n", "--server_apn", "NAME", "Name of the server")
	s.Alias("--server-name")
	s.QoS(&o.QoS, "-q", "--qos")
	s.Duration(&o.Duration, time.Second, "-d", "--duration", "TIME", "How long to send (s, default 60)")
	s.Flag(&o.Flood, "-f", "--flood", "Send as fast as possible")
	s.Int(&o.Size, "-s", "--size", "BYTES", "Size of a message, at most 524288 (default 1000)")
	s.Func(o.setRate, "-r", "--rate", "RATE", "Bits per second, also with k, M or G (default 1M)")
	s.Do(func() { o.Spin = false }, "", "--sleep", "Sleep between two messages (the default)")
	s.Do(func() { o.Spin = true }, "", "--spin", "Spin between two messages: more even, takes a CPU")
	s.Group("Both")
	s.Flag(&o.JSON, "", "--json", "Print JSON: the client one object at the end, the\nserver one for each report")
	return s
}

// finish checks what was read as a whole.
func (o *Options) finish() error {
	switch {
	case o.Listen:
		return nil
	case o.Name == "":
		return args.Lost("No server specified.")
	case o.Size > MaxSize:
		return args.Errorf("Maximum size: %d.", MaxSize)
	case o.Size < 0:
		return args.Errorf("Size overflow.")
	case o.Rate <= 0:
		return args.Errorf("Invalid rate.")
	}
	return nil
}

func (o *Options) setRate(word string) (err error) {
	o.Rate, err = args.ParseRate(word, 1)
	return err
}

// positive reads a time in seconds that is not 0.
func positive(p *time.Duration) func(string) error {
	return func(word string) error {
		d, err := args.ParseDuration(word, time.Second)
		if err == nil && d == 0 {
			err = errNotPositive
		}
		*p = d
		return err
	}
}
