package operf

import (
	"testing"
	"time"
)

func TestAMeterTellsLossFromDisorder(t *testing.T) {
	for name, tc := range map[string]struct {
		first uint32
		ids   []uint32
		want  reading
	}{
		"in order":        {0, []uint32{0, 1, 2}, reading{3, 300, 0, 0}},
		"a gap":           {0, []uint32{0, 3}, reading{2, 200, 2, 0}},
		"late":            {0, []uint32{1, 0, 2}, reading{3, 300, 1, 1}},
		"twice":           {0, []uint32{0, 0}, reading{2, 200, 0, 1}},
		"round the end":   {1<<32 - 1, []uint32{1<<32 - 1, 0, 1}, reading{3, 300, 0, 0}},
		"late at the end": {1<<32 - 1, []uint32{0, 1<<32 - 1}, reading{2, 200, 1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			m := meter{expected: tc.first}
			for _, id := range tc.ids {
				m.add(id, 100)
			}
			if got := m.read(); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestReadingsAsText(t *testing.T) {
	a := reading{packets: 10, bytes: 1000, missing: 3, outOfOrder: 1}
	b := reading{packets: 1010, bytes: 1001000, missing: 5, outOfOrder: 1}
	for _, tc := range []struct{ got, want string }{
		{b.since(a).line(time.Second), "1000 packets, 1000000 bytes in 1000.000 ms, 8.000 Mb/s, 2 lost, 0 out-of-order"},
		{a.line(0), "10 packets, 1000 bytes in 0.000 ms, 0.000 Mb/s, 2 lost, 1 out-of-order"},
		{reading{outOfOrder: 4}.line(0), "0 packets, 0 bytes in 0.000 ms, 0.000 Mb/s, 0 lost, 4 out-of-order"},
	} {
		if tc.got != tc.want {
			t.Errorf("got  %q\nwant %q", tc.got, tc.want)
		}
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	var m meter
	id := uint32(0)
	if n := testing.AllocsPerRun(1000, func() { m.add(id, 64); id++ }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
