package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/query"
)

const (
	tracePath = "/api/v1/trace"

	byCorrelation = "correlation"
	byAggregate   = "aggregate"

	watchEvery  = 2 * time.Second
	clearScreen = "\x1b[H\x1b[2J"
)

// traceOptions are the flags of `rastro trace`.
type traceOptions struct {
	target

	by    string
	asOf  string
	known string
	json  bool
	watch bool
	every time.Duration
}

// newTraceCommand makes `rastro trace`.
func newTraceCommand(streams streams) *cobra.Command {
	options := traceOptions{every: watchEvery}
	cmd := &cobra.Command{
		Use:   "trace ID",
		Short: "Print the story of a bag, a consignment or a parcel",
		Long: `Print the trace of a journey: where it stands, what it has reached, and every event in order of occurrence, each at the time and
in the zone that its sender gave.

ID is looked up as a correlation (air waybill, bag tag, parcel number) and then as an aggregate (this bag, this piece).

Exit code 4: there is no such trace. 5: the server cannot be reached, or does not let us in.`,
		Example: `  rastro trace 0455123456
  rastro trace 045-12345675 --by correlation --json | jq .status
  rastro trace 0455123456 --as-of 2026-06-20T12:00:00Z --known-at 2026-06-20T12:00:00Z`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch options.by {
			case "", byCorrelation, byAggregate:
			default:
				return exitWith(exitUsage, fmt.Errorf("--by is %q; it must be %s or %s", options.by, byCorrelation, byAggregate))
			}
			if err := options.checkTimes(); err != nil {
				return exitWith(exitUsage, err)
			}
			if args[0] == "" {
				return exitWith(exitUsage, errors.New("the id is empty"))
			}
			client, err := options.connect(cmd.Context(), streams, roleTracesRead)
			if err != nil {
				return err
			}
			defer client.close()
			out := cmd.OutOrStdout()
			view := &traceView{out: out, options: options, paint: painter(streams.colours(out))}
			if options.watch {
				view.clear = streams.terminal(out) && !options.json
				return view.watch(cmd.Context(), client, args[0])
			}
			body, err := fetchTrace(cmd.Context(), client, args[0], options.by, options.times())
			if err != nil {
				return err
			}
			return view.print(body)
		},
	}
	options.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&options.by, "by", "", "what ID is: correlation or aggregate (default: whichever is found, in this order)")
	flags.StringVar(&options.asOf, "as-of", "", "what had happened by this time (RFC 3339)")
	flags.StringVar(&options.known, "known-at", "", "what was known at this time (RFC 3339)")
	flags.BoolVar(&options.json, "json", false, "print the answer as received")
	flags.BoolVar(&options.watch, "watch", false, "print the trace again whenever it changes, until interrupted")
	return cmd
}

// times are the parameters that ask for a trace as it was.
func (o *traceOptions) times() url.Values {
	values := url.Values{}
	for name, text := range map[string]string{"asOf": o.asOf, "knownAt": o.known} {
		if text != "" {
			values.Set(name, text)
		}
	}
	return values
}

func (o *traceOptions) checkTimes() error {
	_, asOf := replayTime("--as-of", o.asOf)
	_, known := replayTime("--known-at", o.known)
	return errors.Join(asOf, known)
}

// fetchTrace returns the JSON of a trace. The error has exitNotFound when there is none.
func fetchTrace(ctx context.Context, client *apiClient, id, by string, times url.Values) ([]byte, error) {
	var paths []string
	if by != byAggregate {
		path := tracePath + "/" + url.PathEscape(id)
		if len(times) > 0 {
			path += "?" + times.Encode()
		}
		paths = append(paths, path)
	}
	if by != byCorrelation {
		asked := url.Values{"aggregateId": {id}}
		maps.Copy(asked, times)
		paths = append(paths, tracePath+"?"+asked.Encode())
	}
	for _, path := range paths {
		answer, err := client.do(ctx, http.MethodGet, path, "", nil)
		if err != nil {
			return nil, err
		}
		switch answer.status {
		case http.StatusOK:
			return answer.body, nil
		case http.StatusNotFound:
		default:
			return nil, answer.refusal()
		}
	}
	return nil, exitWith(exitNotFound, fmt.Errorf(
		"no trace of %q: check the number, and that it is this tenant's (--tenant); what was sent just now may need a second", id))
}

// traceView prints traces.
type traceView struct {
	out     io.Writer
	options traceOptions
	paint   painter
	clear   bool
}

func (v *traceView) print(body []byte) error {
	if v.options.json {
		_, err := v.out.Write(append(bytes.TrimRight(body, "\n"), '\n'))
		return err
	}
	var answer query.TraceAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("the server's answer is not a trace: %w", err)
	}
	text := renderTrace(&answer.Trace, v.paint)
	if copies := answer.CopyCount(); copies > 0 {
		text += v.paint.paint(faint, fmt.Sprintf("\n%s dropped as copies: rastro duplicates --correlation %s", events(copies), clean(answer.CorrelationID))) + "\n"
	}
	if v.clear {
		text = clearScreen + text
	}
	_, err := io.WriteString(v.out, text)
	return err
}

// watch prints the trace whenever it changes, until ctx is done. A trace that is not there yet is waited for, and so is a server
// that is away for a while after it has answered once.
func (v *traceView) watch(ctx context.Context, client *apiClient, id string) error {
	var last []byte
	answered := false
	for {
		body, err := fetchTrace(ctx, client, id, v.options.by, v.options.times())
		if err == nil || exitCode(err) == exitNotFound {
			answered = true
		} else if ctx.Err() == nil && (!answered || !transient(err)) {
			return err
		}
		if err == nil && !bytes.Equal(body, last) {
			if err := v.print(body); err != nil {
				return err
			}
			last = body
		}
		timer := time.NewTimer(v.options.every)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// transient reports whether an error may pass by itself.
func transient(err error) bool {
	_, ok := errors.AsType[*unreachableError](err)
	return ok
}
