//go:build unix

package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// account is the user that the server runs as.
type account struct {
	name     string
	uid, gid uint32
	// drop says that we are root and must become this user, because PostgreSQL refuses to run as root.
	drop bool
}

// serverAccount returns the user to run the server as: ourselves or, when we are root, postgres or nobody.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr != nil || gidErr != nil || uid == 0 {
			continue
		}
		return account{name: name, uid: uint32(uid), gid: uint32(gid), drop: true}, nil
	}
	return account{}, errors.New("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as: " +
		"run as an ordinary user, or add one with `useradd --system postgres`")
}

// ownerOf returns the account that existing data belongs to, which is the one that must serve it.
func ownerOf(path string) (account, error) {
	info, err := os.Stat(path)
	if err != nil {
		return account{}, fmt.Errorf("look at existing data: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return account{}, fmt.Errorf("look at existing data: no owner known of %s", path)
	}
	euid := os.Geteuid()
	switch {
	case euid == 0 && stat.Uid != 0:
		return account{name: "uid " + strconv.Itoa(int(stat.Uid)), uid: stat.Uid, gid: stat.Gid, drop: true}, nil
	case euid == int(stat.Uid):
		return account{}, nil
	default:
		return account{}, fmt.Errorf("%s belongs to uid %d: run as that user or as root, or remove the folder", path, stat.Uid)
	}
}

// give hands a file or folder of ours to the account.
func (a account) give(path string) error {
	if !a.drop {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// apply makes cmd run as the account, in a process group of its own so that a Ctrl-C on our terminal does not reach it.
func (a account) apply(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a.drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
}

// trusted reports whether a folder belongs to us or the account and is not a link that someone put in its place.
func (a account) trusted(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(stat.Uid) == os.Geteuid() || a.drop && stat.Uid == a.uid)
}

// errLocked says that another process holds a lock.
var errLocked = errors.New("in use by another process")

// lockFile takes the lock that path stands for. The kernel gives it back when the process ends, however it ends.
func lockFile(path string, create bool) (*os.File, error) {
	flags := os.O_RDWR | syscall.O_NOFOLLOW
	if create {
		flags |= os.O_CREATE
	}
	file, err := os.OpenFile(path, flags, 0o600) //nolint:gosec // A path of ours.
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		closeErr := file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), closeErr)
	}
	return file, nil
}

// unlock gives a lock back. Closing alone would not do while a child that another goroutine is just starting still shares the
// file.
func unlock(file *os.File) error {
	return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
}

// The shutdown modes of PostgreSQL, as signals to its postmaster
// (https://www.postgresql.org/docs/current/server-shutdown.html).
const (
	fastShutdown      = syscall.SIGINT
	immediateShutdown = syscall.SIGQUIT
)

func signal(pid int, sig syscall.Signal) error { return syscall.Kill(pid, sig) }
