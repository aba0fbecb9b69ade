package registry

import (
	"testing"
	"time"
)

func TestAFloodOfDenialsFillsNoLog(t *testing.T) {
	var d denials
	now := time.Unix(1000, 0)
	said := 0
	for range 1000 {
		if _, say := d.next(now); say {
			said++
		}
	}
	if said != denialBurst {
		t.Errorf("%d of 1000 are said at once, want %d", said, denialBurst)
	}
	if missed, say := d.next(now.Add(denialPause)); !say || missed != 1000-denialBurst {
		t.Errorf("after a pause: %v, %d missed", say, missed)
	}
	if _, say := d.next(now.Add(denialPause)); say {
		t.Error("after one pause two are said")
	}
	// Not more than a burst gathers, and not a part of a pause is lost.
	for now = now.Add(time.Hour); ; {
		if _, say := d.next(now); !say {
			break
		}
		said++
	}
	if said != 2*denialBurst {
		t.Errorf("after an hour %d are said, want %d", said-denialBurst, denialBurst)
	}
}
