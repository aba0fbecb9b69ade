package dht

import (
	"container/heap"
	"time"
)

// alarm is something to be done at a time.
type alarm struct {
	at    time.Time
	do    func()
	index int // in the agenda; -1: not there
}

// agenda is what is to be done and when, the next first. It belongs to the
// goroutine of the directory, which looks at it after each thing it did.
type agenda []*alarm

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

func (a *agenda) Push(x any) {
	al := x.(*alarm)
	al.index = len(*a)
	*a = append(*a, al)
}

func (a *agenda) Pop() any {
	last := len(*a) - 1
	al := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	al.index = -1
	return al
}

// after enters something to be done.
func (a *agenda) after(now time.Time, wait time.Duration, do func()) *alarm {
	al := &alarm{at: now.Add(wait), do: do}
	heap.Push(a, al)
	return al
}

// cancel takes an alarm out; nil and one that was done are all right.
func (a *agenda) cancel(al *alarm) {
	if al != nil && al.index >= 0 {
		heap.Remove(a, al.index)
	}
}

// move puts an alarm to another time, whether it was done or not.
func (a *agenda) move(al *alarm, at time.Time) {
	al.at = at
	if al.index >= 0 {
		heap.Fix(a, al.index)
	} else {
		heap.Push(a, al)
	}
}

// due gives the next alarm whose time has come and takes it out; nil when there
// is none.
func (a *agenda) due(now time.Time) *alarm {
	if len(*a) == 0 || (*a)[0].at.After(now) {
		return nil
	}
	return heap.Pop(a).(*alarm)
}
