package qos

import "testing"

func TestASpecificationIsNamedByItsPreset(t *testing.T) {
	for want, s := range map[string]Spec{
		"raw": Raw, "data": Data,
		"raw (timeout 15000 ms)": func() Spec { s := Raw; s.Timeout = 15000; return s }(),
		"voice (timeout 0 ms)":   func() Spec { s := Voice; s.Timeout = 0; return s }(),
		"reliable (delay 0 ms, bandwidth 0 bit/s, availability 0, loss 0, ber 0, max gap 0 ms, timeout 0 ms)": {InOrder: true},
	} {
		if got := s.String(); got != want {
			t.Errorf("%+v is %q, want %q", s, got, want)
		}
	}
}
