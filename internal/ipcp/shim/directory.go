package shim

import (
	"sync"
	"time"
)

// Bounds of a Directory: names, and addresses of one name.
const (
	directoryNames     = 4096
	directoryAddresses = 8
	evictLook          = 64 // names looked at when one must go
)

// Directory is a cache of where names are, bounded in size and time. It also
// joins those who ask for the same name at the same time. The zero value is
// empty.
type Directory[A comparable] struct {
	mu        sync.Mutex
	places    map[string][]place[A] // newest first, never empty
	questions map[string]*Question
}

// place is an address where a name is.
type place[A comparable] struct {
	at    A
	until time.Time
}

// Add enters an address as the newest of a name and answers the question for
// it.
func (d *Directory[A]) Add(hash []byte, at A, ttl time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.add(string(hash), at, ttl)
	d.answer(string(hash), nil)
}

// AddAll is Add for several addresses, the best one first.
func (d *Directory[A]) AddAll(hash []byte, all []A, ttl time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := min(len(all), directoryAddresses) - 1; i >= 0; i-- {
		d.add(string(hash), all[i], ttl)
	}
	d.answer(string(hash), nil)
}

// add makes an address the newest of a name. The lock is held.
func (d *Directory[A]) add(hash string, at A, ttl time.Duration) {
	if d.places == nil {
		d.places = make(map[string][]place[A])
	}
	known := d.without(hash, at)
	if len(known) == directoryAddresses {
		known = known[:directoryAddresses-1]
	}
	if _, ok := d.places[hash]; !ok && len(d.places) >= directoryNames {
		d.evict()
	}
	l := make([]place[A], 0, len(known)+1)
	d.places[hash] = append(append(l, place[A]{at, time.Now().Add(ttl)}), known...)
}

// without lists the addresses of a name that are good and are not at. The lock
// is held.
func (d *Directory[A]) without(hash string, at A) []place[A] {
	now := time.Now()
	var good []place[A]
	for _, p := range d.places[hash] {
		if p.at != at && now.Before(p.until) {
			good = append(good, p)
		}
	}
	return good
}

// evict makes room for a name: of a few, those that have expired go, or else
// any one.
func (d *Directory[A]) evict() {
	now, looked := time.Now(), 0
	var one string
	for h, l := range d.places {
		if !now.Before(l[0].until) {
			delete(d.places, h)
		}
		if one, looked = h, looked+1; looked == evictLook {
			break
		}
	}
	if len(d.places) >= directoryNames {
		delete(d.places, one)
	}
}

// Lookup gives the newest address of a name.
func (d *Directory[A]) Lookup(hash []byte) (at A, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, p := range d.places[string(hash)] {
		if now.Before(p.until) {
			return p.at, true
		}
	}
	return at, false
}

// Remove forgets an address of a name: nothing answered there.
func (d *Directory[A]) Remove(hash []byte, at A) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if rest := d.without(string(hash), at); len(rest) > 0 {
		d.places[string(hash)] = rest
	} else {
		delete(d.places, string(hash))
	}
}

// Clear forgets all addresses.
func (d *Directory[A]) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.places)
}

// Len is the number of names that have an address.
func (d *Directory[A]) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.places)
}

// Question is one that several may wait for.
type Question struct {
	hash    string
	waiting int
	done    chan struct{}
	err     error
}

// Done is closed when the question is answered, by Add or by Fail; Err says
// then whether it failed.
func (q *Question) Done() <-chan struct{} { return q.done }
func (q *Question) Err() error            { return q.err }

// Ask joins the question for a name; first says that nobody else has asked, so
// that the caller sees to an answer. Each Ask is followed by one Leave.
func (d *Directory[A]) Ask(hash []byte) (q *Question, first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.questions == nil {
		d.questions = make(map[string]*Question)
	}
	q = d.questions[string(hash)]
	if q == nil {
		q = &Question{hash: string(hash), done: make(chan struct{})}
		d.questions[q.hash] = q
		first = true
	}
	q.waiting++
	return q, first
}

// Leave ends a wait. It reports whether somebody still waits for an answer.
func (d *Directory[A]) Leave(q *Question) (others bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q.waiting--
	if d.questions[q.hash] != q {
		return false
	}
	if q.waiting == 0 {
		delete(d.questions, q.hash)
	}
	return q.waiting > 0
}

// Waited reports whether somebody waits for the answer to q. Another question
// for the same name does not count.
func (d *Directory[A]) Waited(q *Question) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.questions[q.hash] == q
}

// Fail answers the question for a name with an error.
func (d *Directory[A]) Fail(hash []byte, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer(string(hash), err)
}

// FailThis answers one question with an error, if it is still open.
func (d *Directory[A]) FailThis(q *Question, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.questions[q.hash] == q {
		d.answer(q.hash, err)
	}
}

// answer wakes all who wait. The lock is held.
func (d *Directory[A]) answer(hash string, err error) {
	if q := d.questions[hash]; q != nil {
		delete(d.questions, hash)
		q.err = err
		close(q.done)
	}
}
