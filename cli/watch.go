package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/spf13/cobra"
)

const (
	// watchAgain is how often a folder is looked at when nothing tells of changes in it, as on a network's file system.
	watchAgain = 5 * time.Second
	// journalName and lockName are files in a watched folder, doneName and failedName folders in it.
	journalName = ".rastro-watch.journal"
	lockName    = ".rastro-watch.lock"
	doneName    = "done"
	failedName  = "failed"
)

// watchOptions are the flags of `rastro watch`.
type watchOptions struct {
	target

	carrier  string
	media    string
	once     bool
	settle   time.Duration
	remember time.Duration
	retryFor time.Duration
}

// newWatchCommand makes `rastro watch`.
func newWatchCommand(streams streams) *cobra.Command {
	var options watchOptions
	cmd := &cobra.Command{
		Use:   "watch DIR",
		Short: "Send what is dropped in a folder, each file once, as a carrier",
		Long: `Watch a folder and send each file that is dropped in it to a carrier's address, whole, in the carrier's own format. The oldest comes first,
one after the other. A file is then moved: to DIR/done when all of it was taken, to DIR/failed when something of it was rejected, with the
server's answer beside it as FILE.answer.json. Mend it and move it back to have it sent again; what was taken of it before does no harm.

A file is taken once it has not changed for --settle; names that begin with a point or end with .part or .tmp are left alone, so that
whoever writes may give a file its name when it is whole.

What was sent is in DIR/.rastro-watch.journal, on the disk before it is acted upon. A watcher that was killed goes on where it was: what
the server has answered for is not sent again, and neither is the same content under another name, for as long as --remember. Only a
file whose answer did not come before the kill is sent again; its events have the ids that they had, and are dropped as duplicates if they
were taken. One process watches a folder at a time.

While the server is busy or away the watcher waits. It ends by itself only when the server does not let it in, or knows no such carrier.

Exit codes: 0 ended, 2 the command line is wrong, 3 with --once: some file failed, 4 there is no such carrier, 5 the server does not
let us in, or with --once cannot be reached.`,
		Example: `  rastro watch /var/drop/sita --carrier demo-cargo-imp
  rastro watch ./drop --carrier demo-epcis --once        # for cron`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if options.carrier == "" || options.settle < 0 || options.remember <= 0 {
				return exitWith(exitUsage, errors.New("--carrier says whose format the files are in; --settle is 0 or more, --remember more than 0"))
			}
			if info, err := os.Stat(args[0]); err != nil || !info.IsDir() {
				return exitWith(exitUsage, fmt.Errorf("%s is no folder", args[0]))
			}
			return watchAs(cmd, streams, options, args[0])
		},
	}
	options.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&options.carrier, "carrier", "", "the `carrier` whose format the files are in")
	flags.StringVar(&options.media, "content-type", "", "the media type of the files (default: by their names)")
	flags.BoolVar(&options.once, "once", false, "send what is there and end, rather than wait for more")
	flags.DurationVar(&options.settle, "settle", 2*time.Second, "how long a file must not have changed")
	flags.DurationVar(&options.remember, "remember", 30*24*time.Hour, "how long what was sent is remembered")
	flags.DurationVar(&options.retryFor, "retry-for", 30*time.Second, "with --once: how long to try again while the server is busy or away")
	return cmd
}

func watchAs(cmd *cobra.Command, streams streams, options watchOptions, dir string) (err error) {
	ctx := cmd.Context()
	unlock, err := lockFolder(filepath.Join(dir, lockName))
	if err != nil {
		return exitWith(exitUsage, fmt.Errorf("%s: %w", dir, err))
	}
	defer unlock()
	client, err := options.connect(ctx, streams, roleEventsWrite)
	if err != nil {
		return err
	}
	defer client.close()
	for _, name := range []string{doneName, failedName} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil { //nolint:gosec // as the folder that is watched
			return err
		}
	}
	journal, err := openJournal(filepath.Join(dir, journalName), time.Now().Add(-options.remember))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.close()) }()
	w := &watcher{
		dir: dir, options: options, journal: journal,
		say: func(line string) { _, _ = fmt.Fprintln(cmd.OutOrStdout(), line) }, // what nobody can read is nobody's loss
		client: &carrierClient{
			client: client, carrier: options.carrier, media: options.media, patience: options.retryFor,
			trouble: newTrouble(cmd.ErrOrStderr(), options.retryFor),
		},
	}
	if options.once {
		_, err := w.sweep(ctx)
		if err == nil && w.failed > 0 {
			return exitWith(exitRejected, nil)
		}
		return err
	}
	w.client.patience = 365 * 24 * time.Hour
	return w.run(ctx)
}

// watcher sends what is dropped in a folder.
type watcher struct {
	dir     string
	options watchOptions
	journal *journal
	client  *carrierClient
	say     func(line string)
	failed  int
}

// run sweeps the folder whenever something changes in it, until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	changes, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch folder: %w", err)
	}
	defer func() { _ = changes.Close() }()
	if err := changes.Add(w.dir); err != nil {
		return fmt.Errorf("watch folder: %w", err)
	}
	for {
		wait, err := w.sweep(ctx)
		if ctx.Err() != nil {
			return nil // it was told to end
		}
		if err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-changes.Events:
		case err := <-changes.Errors:
			_ = err // what was missed is found by looking again
		case <-timer.C:
		}
		timer.Stop()
	}
}

// dropped is a file that waits.
type dropped struct {
	name    string
	changed time.Time
}

// sweep sends what has settled, the oldest first. It returns when to look again at the latest.
func (w *watcher) sweep(ctx context.Context) (time.Duration, error) {
	files, err := w.waiting()
	if err != nil {
		return 0, err
	}
	again := watchAgain
	for _, f := range files {
		if quiet := time.Since(f.changed); quiet < w.options.settle && !w.options.once {
			again = min(again, w.options.settle-quiet)
			continue
		}
		if err := ctx.Err(); err != nil {
			return 0, context.Cause(ctx)
		}
		if err := w.take(ctx, f.name); err != nil {
			return 0, err
		}
	}
	return max(again, 10*time.Millisecond), nil
}

func (w *watcher) waiting() ([]dropped, error) {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return nil, fmt.Errorf("list folder: %w", err)
	}
	var files []dropped
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".tmp") {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was taken away meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list folder: %w", err)
		}
		files = append(files, dropped{name, info.ModTime()})
	}
	slices.SortFunc(files, func(a, b dropped) int { return cmp.Or(a.changed.Compare(b.changed), cmp.Compare(a.name, b.name)) })
	return files, nil
}

// take sends a file, unless it was sent before, and moves it.
func (w *watcher) take(ctx context.Context, name string) error {
	body, err := readWhole(nil, filepath.Join(w.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	digest := digestOf(w.options.carrier, body)
	known := w.journal.last[digest]
	// What was taken is not sent again, and neither is what the server has answered for and the watcher was killed before it moved it.
	// What failed and was moved is there because somebody has moved it back.
	if known.State == bodyAnswered || known.State == bodyMoved && !known.Sent.refused() {
		return w.move(name, known, known.File != name)
	}
	if err := w.journal.note(entry{Digest: digest, Carrier: w.options.carrier, File: name, State: bodySending, At: time.Now().UTC()}); err != nil {
		return err
	}
	sent, err := w.client.send(ctx, name, body)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	answered := entry{Digest: digest, Carrier: w.options.carrier, File: name, State: bodyAnswered, At: time.Now().UTC(), Sent: &sent}
	if err := w.journal.note(answered); err != nil {
		return err
	}
	return w.move(name, answered, false)
}

const answerSuffix = ".answer.json"

// move puts a file where it belongs, and says so. again is whether it was sent under another name before.
func (w *watcher) move(name string, e entry, again bool) error {
	sent := *e.Sent
	folder, verdict := doneName, "done  "
	if sent.refused() {
		folder, verdict = failedName, "FAILED"
		w.failed++
		answer, err := json.MarshalIndent(sent, "", " ")
		if err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
		if err := os.WriteFile(filepath.Join(w.dir, folder, name+answerSuffix), append(answer, '\n'), 0o600); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
	to := filepath.Join(w.dir, folder, name)
	if folder == doneName {
		for i := 2; ; i++ { // what has the same name and is done already stays
			if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
				break
			}
			to = filepath.Join(w.dir, folder, fmt.Sprintf("%s.%d", name, i))
		}
	}
	if err := os.Rename(filepath.Join(w.dir, name), to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("move file: %w", err)
	}
	e.State = bodyMoved
	if err := w.journal.note(e); err != nil {
		return err
	}
	line := fmt.Sprintf("%s  %s  %s accepted, %s rejected", verdict, clean(name), thousands(sent.Accepted), thousands(sent.Rejected))
	if again {
		line += "  (sent before, as " + clean(sent.File) + ")"
	}
	if len(sent.Remarks) > 0 && sent.refused() {
		line += "\n        " + sent.Remarks[0].String()
	}
	w.say(line)
	return nil
}
