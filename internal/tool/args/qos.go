package args

import "ouroboros/qos"

// QoS adds an option that names a quality of service.
func (s *Set) QoS(p *qos.Spec, short, long string) {
	s.Func(func(word string) error {
		spec, ok := qos.Parse(word)
		if !ok {
			return Errorf("Unknown QoS: %q. It can be raw, best, video, voice or data.", word)
		}
		*p = spec
		return nil
	}, short, long, "QOS", "raw, best, video, voice or data (default raw)")
}
