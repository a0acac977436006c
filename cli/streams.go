package cli

import (
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// streams is what a command has from the process that runs it, besides the streams that cobra hands on.
type streams struct {
	// getenv reads an environment variable.
	getenv func(string) string
	// lookupEnv reads an environment variable, and tells whether it is set.
	lookupEnv func(string) (string, bool)
	// terminal reports whether a stream is a person's terminal.
	terminal func(stream any) bool
	// now is the clock.
	now func() time.Time
}

// processStreams are those of this process.
func processStreams() streams {
	return streams{getenv: os.Getenv, lookupEnv: os.LookupEnv, terminal: isTerminal, now: time.Now}
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colours reports whether to colour what goes to w: on a terminal, unless NO_COLOR (https://no-color.org) is set to anything.
func (s streams) colours(w io.Writer) bool {
	return s.terminal(w) && s.getenv("NO_COLOR") == "" && s.getenv("TERM") != "dumb"
}
