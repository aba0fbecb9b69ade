package ocbr

import (
	"encoding/json"
	"testing"
	"time"
)

func TestLinesOfFigures(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{count{50, 25000, 2007 * time.Millisecond}.sentLine(),
			"sent statistics:        50 packets,        25000 bytes in      2007 ms, 0.0997 Mb/s\n"},
		{count{}.sentLine(),
			"sent statistics:         0 packets,            0 bytes in         0 ms, 0.0000 Mb/s\n"},
		{count{27, 13500, 1004*time.Millisecond + 662*time.Microsecond}.flowLine(64),
			"Flow   64:        27 packets (       13500 bytes) in      1004 ms =>   26.8747 pps,    0.1075 Mbps\n"},
		{count{1 << 40, 1 << 50, time.Hour}.flowLine(12345),
			"Flow 12345: 1099511627776 packets (1125899906842624 bytes) in   3600000 ms => 305419896.6044 pps, 2501999.7930 Mbps\n"},
		{count{5, 5, 0}.flowLine(64),
			"Flow   64:         5 packets (           5 bytes) in         0 ms =>    0.0000 pps,    0.0000 Mbps\n"},
	} {
		if tc.got != tc.want {
			t.Errorf("got  %q\nwant %q", tc.got, tc.want)
		}
	}
}

func TestFiguresAsJSON(t *testing.T) {
	for _, c := range []count{{}, {1, 2, 0}, {10, 1000, time.Second}} {
		for _, v := range []any{result{figures: c.figures()}, event{figures: new(figures)}} {
			if line, err := json.Marshal(v); err != nil {
				t.Errorf("%+v: %v", c, err)
			} else if !json.Valid(line) {
				t.Errorf("got %s", line)
			}
		}
	}
}
