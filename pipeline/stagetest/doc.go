// Package stagetest is the suite that every stage passes, the built-in ones too. A stage of your own is tested by one call:
//
//	func TestCurfew(t *testing.T) {
//		stagetest.Exercise(t, stagetest.Subject{
//			Register: register,
//			With:     "open: {AQP: {from: 05:00, until: 23:30}}",
//			Events:   func() []*tracking.Event { return []*tracking.Event{byDay(), byNight()} },
//			Invalid:  []string{"open: {AQP: {from: dawn, until: dusk}}"},
//		})
//	}
//
// It checks what the engine relies on and no compiler sees: that the config is checked before the first event, that events
// keep their order and identity, that a redelivery is judged like the first delivery, that a cancelled context ends the work,
// that several workers may share the stage, and that nothing is kept or left running afterwards. Whether the stage does its
// own work right is for tests of your own.
//
// Run it with -race: what several workers do to each other is seen best there.
package stagetest
