package route

// PassesOn implements pipeline.Exhaustive: some events go on to the next stage when a case only copies them, or when those that
// are no case do.
func (c Config) PassesOn() bool {
	for _, one := range c.Cases {
		if one.goesOn() {
			return true
		}
	}
	return c.Otherwise.Outcome == Pass || c.Otherwise.Outcome == "" && c.Otherwise.goesOn()
}

// goesOn reports whether events that go this way go on to the next stage as well.
func (w Way) goesOn() bool {
	route := w.route()
	return !route.Leave && route.Stage == ""
}
