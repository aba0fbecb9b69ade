package shim_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ouroboros/internal/errno"
	"ouroboros/internal/ipcp/shim"
)

func TestTheDirectoryGivesTheNewestAddressThatIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d shim.Directory[int]
		h := name("n")
		expect := func(want int) {
			t.Helper()
			if got, _ := d.Lookup(h); got != want {
				t.Errorf("address %d, want %d", got, want)
			}
		}
		expect(0)
		d.Add(h, 1, time.Hour)
		d.Add(h, 2, time.Minute)
		d.Add(h, 3, time.Second)
		expect(3)
		time.Sleep(2 * time.Second)
		expect(2)
		d.Add(h, 1, time.Hour) // newest again
		expect(1)
		d.Remove(h, 1)
		expect(2)
		d.Remove(h, 2)
		expect(0)
		if d.Len() != 0 {
			t.Errorf("%d names", d.Len())
		}
	})
}

func TestTheDirectoryIsBounded(t *testing.T) {
	var d shim.Directory[int]
	for i := range 10000 {
		d.Add(name(fmt.Sprint(i)), i, time.Hour)
		d.Add(name("one"), i, time.Hour)
	}
	if d.Len() > 4096 {
		t.Errorf("%d names", d.Len())
	}
	if at, _ := d.Lookup(name("one")); at != 9999 {
		t.Errorf("the newest is %d", at)
	}
	n := 0
	for {
		at, ok := d.Lookup(name("one"))
		if !ok {
			break
		}
		d.Remove(name("one"), at)
		n++
	}
	if n != 8 {
		t.Errorf("%d addresses of one name", n)
	}
}

func TestAnAnswerWakesAllWhoAsked(t *testing.T) {
	var d shim.Directory[int]
	q1, first1 := d.Ask(name("n"))
	q2, first2 := d.Ask(name("n"))
	other, _ := d.Ask(name("other"))
	if !first1 || first2 {
		t.Errorf("first: %v, %v", first1, first2)
	}
	d.Add(name("n"), 1, time.Hour)
	for _, q := range []*shim.Question{q1, q2} {
		<-q.Done()
		if q.Err() != nil {
			t.Error(q.Err())
		}
		d.Leave(q)
	}
	select {
	case <-other.Done():
		t.Error("a question was answered that is another")
	default:
	}
	d.Fail(name("other"), errno.NameError)
	<-other.Done()
	if !errors.Is(other.Err(), errno.NameError) || d.Leave(other) {
		t.Errorf("got %v", other.Err())
	}
	q, first := d.Ask(name("n"))
	if !first || !d.Waited(q) || d.Leave(q) || d.Waited(q) {
		t.Error("a question that nobody waits for is kept")
	}
	again, _ := d.Ask(name("n"))
	if d.FailThis(q, errno.NameError); d.Waited(q) || !d.Waited(again) {
		t.Error("a question is taken for a later one")
	}
	d.FailThis(again, errno.NameError)
	<-again.Done()
	d.Leave(again)
}
