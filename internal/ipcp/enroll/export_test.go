package enroll

// SetMost sets how many are served at a time.
func (e *Enroller) SetMost(n int) { e.most = n }
