package crypt

import "fmt"

// Problem is an error for people: what is wrong with a file, a certificate or
// an algorithm, and what to do next.
type Problem struct {
	Cause string // `the certificate of "web.example" ended on 2026-03-01`
	Hint  string // may be empty
	Err   error  // what the cause is made of; may be nil
}

func problem(format string, args ...any) *Problem {
	p := &Problem{Cause: fmt.Errorf(format, args...).Error()}
	for _, a := range args {
		if err, ok := a.(error); ok {
			p.Err = err
		}
	}
	return p
}

func (p *Problem) next(format string, args ...any) *Problem {
	p.Hint = fmt.Sprintf(format, args...)
	return p
}

func (p *Problem) Error() string {
	if p.Hint == "" {
		return p.Cause
	}
	return p.Cause + "; " + p.Hint
}

func (p *Problem) Unwrap() error { return p.Err }
