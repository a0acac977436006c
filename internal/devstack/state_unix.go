//go:build unix

package devstack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// trustworthy reports why others than the user (or root) could have written what info describes.
func trustworthy(info fs.FileInfo) error {
	if mode := info.Mode(); mode.Perm()&0o022 != 0 || mode&fs.ModeSymlink != 0 {
		return fmt.Errorf("its mode is %s: others could have written it", mode)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("its owner is not known")
	}
	if owner := int(stat.Uid); owner != os.Geteuid() && owner != 0 {
		return fmt.Errorf("it belongs to another user (uid %d)", owner)
	}
	return nil
}

// processAlive reports whether a process of that id is there, whoever owns it.
func processAlive(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
