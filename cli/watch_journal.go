package cli

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// journal remembers what a watched folder has sent, so that a process that was killed goes on where it was. It is a file of lines of
// JSON, each of which is on the disk before what it says is acted upon.
type journal struct {
	path string
	file *os.File
	last map[string]entry // by digest
}

// entry is a line of the journal.
type entry struct {
	Digest  string    `json:"sha256"`
	Carrier string    `json:"carrier"`
	File    string    `json:"file"`
	State   string    `json:"state"`
	At      time.Time `json:"at"`
	Sent    *sentBody `json:"sent,omitempty"`
}

// The states of a body.
const (
	// bodySending is that of one on its way: whether the server has it is not known.
	bodySending = "sending"
	// bodyAnswered is that of one that the server has answered for.
	bodyAnswered = "answered"
	// bodyMoved is that of one that was put where it belongs after that.
	bodyMoved = "moved"
)

// digestOf is what a body is known by, for a carrier.
func digestOf(carrier string, body []byte) string {
	sum := sha256.Sum256(append([]byte(carrier+"\x00"), body...))
	return hex.EncodeToString(sum[:])
}

// openJournal opens the journal of a folder, and leaves out what is older than remember. A line that was cut short by a crash is
// passed over: nothing had been done about it yet.
func openJournal(path string, since time.Time) (*journal, error) {
	j := &journal{path: path, last: map[string]entry{}}
	text, err := os.ReadFile(path) //nolint:gosec // in the folder that the user names
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var order []string
	for lines := bufio.NewReader(bytes.NewReader(text)); ; {
		line, err := lines.ReadBytes('\n')
		var e entry
		if json.Unmarshal(line, &e) == nil && e.Digest != "" && (e.State == bodySending || e.Sent != nil) && e.At.After(since) {
			if _, known := j.last[e.Digest]; !known {
				order = append(order, e.Digest)
			}
			j.last[e.Digest] = e
		}
		if err != nil {
			break
		}
	}
	return j, j.rewrite(order)
}

// rewrite puts a journal of the last entries in the place of the one that is there.
func (j *journal) rewrite(order []string) error {
	next, err := os.OpenFile(j.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.file = next
	for _, digest := range order {
		if err := j.write(j.last[digest]); err != nil {
			return errors.Join(err, next.Close())
		}
	}
	if err := errors.Join(next.Sync(), os.Rename(j.path+".new", j.path), syncFolder(filepath.Dir(j.path))); err != nil {
		return fmt.Errorf("write journal: %w", errors.Join(err, next.Close()))
	}
	return nil
}

func (j *journal) write(e entry) error {
	line, err := json.Marshal(e)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	return nil
}

// note puts an entry on the disk.
func (j *journal) note(e entry) error {
	if err := j.write(e); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.last[e.Digest] = e
	return nil
}

// close closes the file.
func (j *journal) close() error { return j.file.Close() }

// syncFolder has what was renamed in a folder survive a crash of the machine.
func syncFolder(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // the folder that the user names
	if err != nil {
		return err
	}
	_ = f.Sync() // not every file system takes that of a folder
	return f.Close()
}
