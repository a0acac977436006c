package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

// The exit codes of every command. They are documented and stable: scripts rely on them.
const (
	exitOK          = 0 // done
	exitFailure     = 1 // something went wrong
	exitUsage       = 2 // the command line is wrong
	exitRejected    = 3 // some events were rejected
	exitNotFound    = 4 // there is no such thing
	exitUnreachable = 5 // the server cannot be reached, or does not let us in
)

// exitError gives an error the exit code that it ends the process with. Err is nil when the command has already said all
// there is to say.
type exitError struct {
	code int
	err  error
}

// exitWith gives err an exit code.
func exitWith(code int, err error) error { return &exitError{code: code, err: err} }

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitCode returns the code that a command which returned err exits with.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return exitFailure
}

// usage makes errors of a check of arguments exit with exitUsage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return exitWith(exitUsage, err)
		}
		return nil
	}
}
