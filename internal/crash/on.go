//go:build chaos

package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Compiled says whether this binary can crash by itself.
const Compiled = true

// odds is read once, when the first point is passed.
var odds = sync.OnceValue(func() map[Point]float64 {
	plan, err := parse(os.Getenv(Variable))
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return plan
})

// lastBreath is how long a process lives on at most after it has come to where it crashes.
const lastBreath = 30 * time.Millisecond

// At kills the process, with the probability that the environment gives the point, as `kill -9` does: nothing is closed, flushed or
// said to anyone. Whoever is at the point goes no further, but the rest of the process does for a moment: what wrongly did not wait
// for a step that is never taken now gets out.
func At(point Point) {
	p := odds()[point]
	if p == 0 || rand.Float64() >= p { //nolint:gosec // chance, not secrecy
		return
	}
	<-time.After(rand.N(lastBreath)) //nolint:gosec // as above
	_, _ = fmt.Fprintln(os.Stderr, "crashing at", point)
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "cannot crash:", err)
		os.Exit(2)
	}
	select {} // the signal is on its way
}

func parse(text string) (map[Point]float64, error) {
	plan := map[Point]float64{}
	if text == "" {
		return plan, nil
	}
	for _, part := range strings.Split(text, ",") {
		name, number, _ := strings.Cut(part, ":")
		p, err := strconv.ParseFloat(number, 64)
		if err != nil || p < 0 || p > 1 || !slices.Contains(Points(), Point(name)) {
			return nil, fmt.Errorf("%s: %q is not POINT:PROBABILITY, with a point of %v", Variable, part, Points())
		}
		plan[Point(name)] = p
	}
	return plan, nil
}
