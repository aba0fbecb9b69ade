package cli

import "time"

// patience is how long a person waits without a word. Enrolling may take
// longer, and a daemon may hang.
const patience = 5 * time.Second

// reminder says something once, unless it is stopped before.
type reminder struct {
	timer *time.Timer
	said  chan struct{} // closed when say has returned
}

// remind calls say after d, on a goroutine of its own.
func remind(d time.Duration, say func()) *reminder {
	r := &reminder{said: make(chan struct{})}
	r.timer = time.AfterFunc(d, func() {
		defer close(r.said)
		say()
	})
	return r
}

// stop returns when say does not run, and will not any more.
func (r *reminder) stop() {
	if r != nil && !r.timer.Stop() {
		<-r.said
	}
}
