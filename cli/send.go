package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// sendOptions are the flags of `rastro send`.
type sendOptions struct {
	target

	batch    int
	parallel int
	retryFor time.Duration
	json     bool

	carrier string // whose format the files are in; empty for our own
	media   string // of the bodies of a carrier
	capture string // rollback or proceed; empty: not by the capture interface of EPCIS
}

func (o *sendOptions) validate() error {
	switch {
	case o.batch < 1:
		return errors.New("--batch must be at least 1")
	case o.parallel < 1:
		return errors.New("--parallel must be at least 1")
	case o.retryFor < 0:
		return errors.New("--retry-for must not be negative")
	case o.media != "" && o.carrier == "":
		return errors.New("--content-type goes with --carrier; otherwise it is recognised")
	case o.capture != "" && o.carrier == "":
		return errors.New("--capture goes with --carrier: it is the interface of carriers of the format epcis")
	case o.capture != "" && o.capture != "rollback" && o.capture != "proceed":
		return fmt.Errorf("--capture=%s: when an event is wrong the others are taken back or go on; write rollback or proceed", o.capture)
	default:
		return nil
	}
}

// newSendCommand makes `rastro send`.
func newSendCommand(streams streams) *cobra.Command {
	var options sendOptions
	cmd := &cobra.Command{
		Use:   "send [FILE...]",
		Short: "Send events from files or standard input",
		Long: `Send events to the ingest API and say what became of each. A file holds events as NDJSON, a JSON array, one JSON object, or
CloudEvents 1.0 in any of these forms; the form is recognised by the content. Standard input is read when no file is named,
and for "-". Large files are cut into requests as they are read. A server that is busy or away is tried again.

Events that carry an event_id may be sent again at any time: the second one is dropped as a duplicate.

With --carrier each file is one body in the carrier's own format, sent to the carrier's address as it is, one after the other. What of
it is rejected, and what is odd about the rest, is said item by item. --capture sends EPCIS documents to the capture interface of that
standard: all of a document is taken or nothing, or with --capture=proceed what is right of it.

Exit code 3: some events were rejected, or a file is of a format that the endpoint does not take. 5: the server cannot be
reached, or does not let us in.`,
		Example: `  rastro send events.ndjson
  zcat archive.ndjson.gz | rastro send --batch 500 --json > results.json
  rastro send --carrier demo-cargo-imp messages/*.txt
  rastro send --carrier demo-epcis --capture document.jsonld`,
		Args: usage(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := options.validate(); err != nil {
				return exitWith(exitUsage, err)
			}
			if len(files) == 0 {
				files = []string{"-"}
			}
			size, err := checkFiles(files)
			if err != nil {
				return exitWith(exitUsage, err)
			}
			if options.carrier != "" {
				return sendAsCarrier(cmd, streams, options, files)
			}
			return runSend(cmd, streams, options, files, size)
		},
	}
	options.addFlags(cmd)
	flags := cmd.Flags()
	flags.IntVar(&options.batch, "batch", 100, "events in a request, at most")
	flags.IntVar(&options.parallel, "parallel", 4, "requests in flight")
	flags.DurationVar(&options.retryFor, "retry-for", 30*time.Second, "how long to try a request again while the server is busy or away")
	flags.BoolVar(&options.json, "json", false, "print one JSON object with the result of every event")
	flags.StringVar(&options.carrier, "carrier", "", "the `carrier` whose format the files are in: each file is sent whole, to its address")
	flags.StringVar(&options.media, "content-type", "", "the media type of the bodies, with --carrier (default: by the names of the files)")
	flags.StringVar(&options.capture, "capture", "", "send by EPCIS' capture interface, with --carrier; when an event is wrong, rollback or proceed")
	flags.Lookup("capture").NoOptDefVal = "rollback"
	return cmd
}

// checkFiles finds out, before anything is sent, whether all files are there. It returns their size together; -1 when
// standard input or a pipe is among them.
func checkFiles(files []string) (size int64, err error) {
	for _, file := range files {
		if file == "-" {
			size = -1
			continue
		}
		info, err := os.Stat(file)
		switch {
		case err != nil:
			return 0, err
		case info.IsDir():
			return 0, fmt.Errorf("%s is a folder; name the files in it, as in: rastro send %s/*", file, strings.TrimRight(file, "/"))
		case !info.Mode().IsRegular():
			size = -1
		case size >= 0:
			size += info.Size()
		}
	}
	return size, nil
}

func runSend(cmd *cobra.Command, streams streams, options sendOptions, files []string, size int64) error {
	if slices.Contains(files, "-") && streams.terminal(cmd.InOrStdin()) {
		if _, err := fmt.Fprintln(cmd.ErrOrStderr(), "reading events from the terminal; end with Ctrl-D"); err != nil {
			return err
		}
	}
	client, err := options.connect(cmd.Context(), streams, roleEventsWrite)
	if err != nil {
		return err
	}
	defer client.close()

	ctx, stop := context.WithCancelCause(cmd.Context())
	defer stop(nil)
	progress := newProgress(cmd.ErrOrStderr(), streams, size)
	report := newSendReport(cmd.OutOrStdout(), options.json, streams.now)
	s := &sender{
		options: options, client: client, in: cmd.InOrStdin(), progress: progress,
		jobs: make(chan job), outcomes: make(chan outcome), window: make(chan struct{}, 4*options.parallel),
	}
	s.start(ctx, files)
	s.collect(report, stop)
	if err := context.Cause(cmd.Context()); err != nil {
		report.failure = fmt.Errorf("interrupted: %w", err)
	}
	progress.close()
	return report.finish()
}

// sender reads events, sends them with several requests in flight and hands on the outcomes in the order of the input. It
// holds few of them at a time: the window bounds how far reading is ahead of the oldest request that has no answer.
type sender struct {
	options  sendOptions
	client   *apiClient
	in       io.Reader
	progress *progress

	jobs     chan job
	outcomes chan outcome
	window   chan struct{}
	handedOn int // by the reader alone
}

// job is a batch and its place in the order of the input.
type job struct {
	batch *batch
	order int
}

// outcome is what became of a job: a result an event, or why there is none.
type outcome struct {
	order   int
	batch   *batch
	results []eventResult
	err     error

	// unread is set for a file, or the rest of one, that could not be read; batch is nil then.
	unread *unreadFile
}

// unreadFile is a file that was not read, or not to its end.
type unreadFile struct {
	File  string `json:"file"`
	Error string `json:"error"`

	format bool // it is of a format that the endpoint does not take
}

// start reads and sends in the background until all is done or ctx is; it closes outcomes at last.
func (s *sender) start(ctx context.Context, files []string) {
	var all errgroup.Group
	all.Go(func() error {
		defer close(s.jobs)
		s.read(ctx, files)
		return nil
	})
	for range s.options.parallel {
		all.Go(func() error {
			for j := range s.jobs {
				results, err := s.send(ctx, j.batch)
				s.outcomes <- outcome{order: j.order, batch: j.batch, results: results, err: err}
			}
			return nil
		})
	}
	go func() {
		defer close(s.outcomes)
		_ = all.Wait() // none of them returns an error
	}()
}

// read cuts the files into jobs.
func (s *sender) read(ctx context.Context, files []string) {
	batches := &batcher{size: s.options.batch, handOn: s.handOn}
	for _, file := range files {
		err := s.readFile(ctx, batches, file)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue
		}
		unread := &unreadFile{File: file, Error: err.Error(), format: errors.Is(err, errNotEvents)}
		if !s.acquire(ctx) {
			return
		}
		s.outcomes <- outcome{order: s.handedOn, unread: unread}
		s.handedOn++
	}
}

func (s *sender) readFile(ctx context.Context, batches *batcher, name string) error {
	if name == "-" {
		in, stop := interruptible(ctx, s.in)
		defer stop()
		return batches.read(ctx, "stdin", in)
	}
	file, err := os.Open(name) //nolint:gosec // The user names the file.
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	return batches.read(ctx, name, file)
}

// interruptible returns a reader that fails when ctx is done or stop is called, even while in waits for input that may never
// come: the goroutine which then still waits goes with the process, or with the next input.
func interruptible(ctx context.Context, in io.Reader) (reader io.Reader, stop func()) {
	out, feed := io.Pipe()
	go func() {
		_, err := io.Copy(feed, in)
		_ = feed.CloseWithError(err) // always nil
	}()
	unhook := context.AfterFunc(ctx, func() { _ = out.CloseWithError(context.Cause(ctx)) })
	return out, func() {
		unhook()
		_ = out.Close() // always nil
	}
}

// handOn gives a batch to whichever worker is free.
func (s *sender) handOn(ctx context.Context, b *batch) error {
	if !s.acquire(ctx) {
		return context.Cause(ctx)
	}
	select {
	case s.jobs <- job{batch: b, order: s.handedOn}:
		s.handedOn++
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *sender) acquire(ctx context.Context) bool {
	select {
	case s.window <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// collect takes the outcomes in the order of the input. The first failure that is not an event's stops everything.
func (s *sender) collect(report *sendReport, stop context.CancelCauseFunc) {
	waiting := map[int]outcome{}
	next := 0
	for o := range s.outcomes {
		if o.err != nil {
			report.fail(o.err)
			stop(o.err)
		}
		waiting[o.order] = o
		for {
			o, ok := waiting[next]
			if !ok {
				break
			}
			delete(waiting, next)
			next++
			<-s.window
			report.add(o)
			s.progress.advance(o, report)
		}
	}
}
