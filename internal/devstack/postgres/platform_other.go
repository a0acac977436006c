//go:build !unix

package postgres

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

var errUnsupported = errors.New("a PostgreSQL of our own is started on Linux and macOS only: give the URL of a database you run")

var errLocked = errors.New("in use by another process")

const (
	fastShutdown      = syscall.SIGINT
	immediateShutdown = syscall.SIGQUIT
)

type account struct {
	name string
	drop bool
}

func serverAccount() (account, error)         { return account{}, errUnsupported }
func ownerOf(string) (account, error)         { return account{}, errUnsupported }
func (account) give(string) error             { return nil }
func (account) apply(*exec.Cmd)               {}
func (account) trusted(string) bool           { return false }
func lockFile(string, bool) (*os.File, error) { return nil, errUnsupported }
func unlock(*os.File) error                   { return errUnsupported }
func dieWithParent(*exec.Cmd, bool)           {}
func isPostmaster(int, string) bool           { return false }
func signal(int, syscall.Signal) error        { return errUnsupported }
