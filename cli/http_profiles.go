package cli

import (
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
)

// longestProfile is how long a process may be asked to watch itself.
const longestProfile = time.Minute

// serveProfiles adds the runtime's profiles of this process, for who may change how it runs: to be profiled costs it something.
func serveProfiles(app *fiber.App) {
	handlers := map[string]http.Handler{"profile": http.HandlerFunc(pprof.Profile), "trace": http.HandlerFunc(pprof.Trace)}
	for _, name := range []string{"allocs", "block", "goroutine", "heap", "mutex", "threadcreate"} {
		handlers[name] = pprof.Handler(name)
	}
	app.Get("/api/v1/debug/pprof/:profile", auth.Require(auth.RoleOpsWrite), func(c *fiber.Ctx) error {
		handler, ok := handlers[c.Params("profile")]
		if !ok {
			return problem.New(http.StatusNotFound, "not-found",
				"There is no such profile; there are allocs, block, goroutine, heap, mutex, profile, threadcreate and trace.")
		}
		if text := c.Query("seconds"); text != "" {
			// net/http/pprof would take 30 for what is no whole number.
			if seconds, err := strconv.Atoi(text); err != nil || seconds <= 0 || seconds > int(longestProfile.Seconds()) {
				return problem.New(http.StatusBadRequest, "seconds", "A profile takes 1 to 60 seconds, a whole number.")
			}
		}
		return adaptor.HTTPHandler(handler)(c)
	})
}
