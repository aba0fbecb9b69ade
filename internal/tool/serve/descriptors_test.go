package serve

import "testing"

func TestTheLowestFreeDescriptorIsTaken(t *testing.T) {
	var d descriptors
	for want := 64; want < 70; want++ {
		if got := d.take(); got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	}
	d.give(68)
	d.give(65)
	d.give(67)
	for _, want := range []int{65, 67, 68, 70} {
		if got := d.take(); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}
