//go:build !unix

package cli

// lockFolder takes no lock: only one process may watch a folder.
func lockFolder(string) (unlock func(), err error) { return func() {}, nil }
