package operf

import (
	"time"

	"ouroboros/internal/tool/args"
	"ouroboros/qos"
)

// Options are those of the command line.
type Options struct {
	Listen  bool
	Verbose bool // server: a line for each message

	Test      Test
	Name      string
	QoS       qos.Spec
	Duration  time.Duration
	Rate      int64 // bit/s
	Size      int
	Flood     bool
	Sleep     bool // between messages, instead of spinning
	Histogram bool

	JSON bool

	// Notices are to be told before the work: what was changed.
	Notices []string
}

// commandLine describes the options; they are read into o.
func (o *Options) commandLine() *args.Set {
	*o = Options{Test: Uni, Duration: time.Minute, Rate: 1000000, Size: DefaultSize, QoS: qos.Raw}
	s := args.New("operf", "Measures the bandwidth between a client and a server.")
	s.Flag(&o.Listen, "-l", "--listen", "Be the server: it reports each second and at the end\nof a flow")
	s.Flag(&o.Verbose, "-v", "--verbose", "Server: a line for each message of a uni test instead\nof a report each second")
	s.Group("Client")
	s.Func(o.setTest, "-t", "--test", "TEST", "uni: one way, or bi: there and back (default uni)")
	s.String(&o.Name, "-n", "--server-name", "NAME", "Name of the server")
	s.QoS(&o.QoS, "-q", "--qos")
	s.Duration(&o.Duration, time.Millisecond, "-d", "--duration", "TIME",
		"How long to send (ms, or with s, m, h, d; default 60s)")
	s.Func(o.setRate, "-r", "--rate", "RATE", "Bits per second, with k, M or G; a number without\nunit counts kilobits (default 1M)")
	s.Func(o.setSize, "-s", "--size", "BYTES", "Size of a message, 64 to 1048576 (default 1500; a\nlayer over Ethernet carries a little less)")
	s.Flag(&o.Flood, "-f", "--flood", "Send as fast as possible")
	s.Flag(&o.Sleep, "", "--sleep", "Sleep between two messages instead of spinning")
	s.Flag(&o.Histogram, "", "--histogram", "Show percentiles and a histogram of the round-trip\ntimes of a bi test")
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
	case o.Rate <= 0:
		return args.Errorf("Invalid rate.")
	}
	return nil
}

func (o *Options) setTest(word string) error {
	switch word {
	case "uni":
		o.Test = Uni
	case "bi":
		o.Test = Bi
	default:
		return args.Errorf("Invalid test type: %q. It can be uni or bi.", word)
	}
	return nil
}

func (o *Options) setRate(word string) (err error) {
	o.Rate, err = args.ParseRate(word, 1000)
	return err
}

func (o *Options) setSize(word string) error {
	n, err := args.ParseInt(word)
	switch {
	case err != nil:
		return err
	case n > MaxSize:
		o.Notices = append(o.Notices, "Packet size truncated to 1048576 bytes.")
		n = MaxSize
	case n < MinSize:
		o.Notices = append(o.Notices, "Packet size set to 64 bytes.")
		n = MinSize
	}
	o.Size = int(n)
	return nil
}
