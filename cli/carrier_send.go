package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/api/problem"
)

// carrierClient sends bodies to a carrier's address.
type carrierClient struct {
	client   *apiClient
	carrier  string
	media    string // of all bodies; empty: by their names
	capture  string // by the capture interface of EPCIS, and what becomes of the others when an event is wrong; empty: not by it
	patience time.Duration
	trouble  func(error)
}

// sentBody is what became of a body.
type sentBody struct {
	File     string `json:"file"`
	Status   int    `json:"status"`
	Accepted int    `json:"accepted"`
	Rejected int    `json:"rejected"`
	// Remarks is what was said of items, and of the body as a whole.
	Remarks []remark `json:"remarks,omitempty"`
	// Answer is the server's, as it came.
	Answer json.RawMessage `json:"answer,omitempty"`
}

// remark is something that was said of a body.
type remark struct {
	Index    *int   `json:"index,omitempty"` // of the item; nil: of the body as a whole
	Severity string `json:"severity"`
	reason
}

func (r remark) String() string {
	var b strings.Builder
	if r.Index != nil {
		fmt.Fprintf(&b, "[%d] ", *r.Index)
	}
	b.WriteString(r.Severity + ": ")
	if r.Field != "" {
		b.WriteString(r.Field + ": ")
	}
	b.WriteString(r.Message)
	if r.Code != "" {
		fmt.Fprintf(&b, " (%s)", r.Code)
	}
	return clean(b.String())
}

// refused reports whether something of the body was not taken.
func (s sentBody) refused() bool { return s.Rejected > 0 || s.Status >= http.StatusBadRequest }

// text says what became of the body, a line and one for each remark.
func (s sentBody) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s accepted, %s rejected\n", clean(s.File), thousands(s.Accepted), thousands(s.Rejected))
	for i, r := range s.Remarks {
		if i == maxGroups {
			fmt.Fprintf(&b, "  and %s more; --json has them all\n", thousands(len(s.Remarks)-i))
			break
		}
		fmt.Fprintf(&b, "  %s\n", r)
	}
	return b.String()
}

// mediaOf returns the media type of a file by its name.
func mediaOf(name string) string {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		return mediaJSON
	case ".jsonld":
		return "application/ld+json"
	case ".ndjson", ".jsonl":
		return mediaNDJSON
	case ".txt":
		return "text/plain"
	default:
		return "application/octet-stream"
	}
}

// send sends a body. An error means that it is not known what became of it, or that no other will fare better.
func (c *carrierClient) send(ctx context.Context, name string, body []byte) (sentBody, error) {
	sent := sentBody{File: name}
	address, media, headers := "/api/v1/carriers/"+url.PathEscape(c.carrier)+"/events", firstOf(c.media, mediaOf(name)), []string(nil)
	if c.capture != "" {
		address, media = strings.TrimSuffix(address, "events")+"capture", firstOf(c.media, "application/ld+json")
		headers = []string{"GS1-Capture-Error-Behaviour", c.capture}
	}
	answer, err := c.client.postPatiently(ctx, address, media, body, c.patience, c.trouble, headers...)
	if err != nil {
		return sent, err
	}
	sent.Status = answer.status
	if json.Valid(answer.body) {
		sent.Answer = answer.body
	}
	_, captured := answer.header["Location"] // as a job, which says what is wrong
	switch answer.status {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusUnprocessableEntity:
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusConflict, http.StatusNotAcceptable:
		if answer.status == http.StatusBadRequest && captured {
			break
		}
		sent.Remarks = []remark{{Severity: "error", reason: reason{Message: answer.problem()}}}
		return sent, nil
	case http.StatusNotFound:
		return sent, exitWith(exitNotFound, fmt.Errorf("the server answers %d %s", answer.status, answer.problem()))
	default:
		return sent, answer.refusal()
	}
	if sent.Accepted, err = strconv.Atoi(answer.header.Get("X-Rastro-Accepted")); err != nil {
		return sent, fmt.Errorf("the server answers %d with something that is not its API's", answer.status)
	}
	sent.Rejected, _ = strconv.Atoi(answer.header.Get("X-Rastro-Rejected")) // comes with the other
	return sent, sent.read(answer)
}

// read reads what an answer says of items, in our form, in that of DCSA or in that of the capture interface of EPCIS.
func (s *sentBody) read(answer *response) error {
	var a struct {
		Results []struct {
			Index    int             `json:"index"`
			Errors   []problem.Field `json:"errors"`
			Warnings []problem.Field `json:"warnings"`
		} `json:"results"`
		Feedback []struct{ Severity, Message, PropertyPath string } `json:"feedbackElements"`
		// Errors are those of a capture job, or of the problem that it is refused with.
		Errors []struct {
			Index, Position                       *int
			Field, Pointer, Code, Message, Detail string
		} `json:"errors"`
	}
	if err := json.Unmarshal(answer.body, &a); err != nil {
		return fmt.Errorf("the server answers %d with something that is not its API's: %w", answer.status, err)
	}
	for _, r := range a.Results {
		for severity, fields := range map[string][]problem.Field{"error": r.Errors, "warning": r.Warnings} {
			for _, f := range fields {
				s.Remarks = append(s.Remarks, remark{Index: &r.Index, Severity: severity, reason: reason{f.Field, f.Code, f.Message}})
			}
		}
	}
	for _, e := range a.Errors {
		at := e.Index
		if at == nil {
			at = e.Position
		}
		s.Remarks = append(s.Remarks, remark{Index: at, Severity: "error", reason: reason{firstOf(e.Field, e.Pointer), e.Code, firstOf(e.Message, e.Detail)}})
	}
	severities := map[string]string{"ERROR": "error", "WARN": "warning"}
	for _, f := range a.Feedback {
		s.Remarks = append(s.Remarks, remark{Severity: firstOf(severities[f.Severity], "info"), reason: reason{Field: f.PropertyPath, Message: f.Message}})
	}
	return nil
}

// sendAsCarrier sends each file whole, one after the other.
func sendAsCarrier(cmd *cobra.Command, streams streams, options sendOptions, files []string) error {
	client, err := options.connect(cmd.Context(), streams, roleEventsWrite)
	if err != nil {
		return err
	}
	defer client.close()
	trouble := newTrouble(cmd.ErrOrStderr(), options.retryFor)
	c := &carrierClient{client: client, carrier: options.carrier, media: options.media, capture: options.capture, patience: options.retryFor, trouble: trouble}
	all, accepted, rejected, refused := []sentBody{}, 0, 0, false
	for _, name := range files {
		body, err := readWhole(cmd.InOrStdin(), name)
		if err != nil {
			return err
		}
		sent, err := c.send(cmd.Context(), firstOf(strings.TrimPrefix(name, "-"), "stdin"), body)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		accepted, rejected, refused = accepted+sent.Accepted, rejected+sent.Rejected, refused || sent.refused()
		if options.json {
			all = append(all, sent)
			continue
		}
		if _, err := io.WriteString(cmd.OutOrStdout(), sent.text()); err != nil {
			return err
		}
	}
	if options.json {
		err = printJSON(cmd.OutOrStdout(), all)
	} else if len(files) > 1 {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s accepted, %s rejected\n", counted(len(files), "file"), thousands(accepted), thousands(rejected))
	}
	if err == nil && refused {
		return exitWith(exitRejected, nil)
	}
	return err
}

// maxWhole bounds what is read of a file that is sent whole; no server takes one as large.
const maxWhole = 256 << 20

func readWhole(stdin io.Reader, name string) ([]byte, error) {
	in := stdin
	if name != "-" {
		file, err := os.Open(name) //nolint:gosec // the file that the user names
		if err != nil {
			return nil, exitWith(exitUsage, err)
		}
		defer func() { _ = file.Close() }() // only read
		in = file
	}
	body, err := io.ReadAll(io.LimitReader(in, maxWhole+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(body) > maxWhole {
		return nil, exitWith(exitUsage, errors.New(name+" is larger than any server takes"))
	}
	return body, nil
}

// newTrouble returns what says, once, that a request is tried again.
func newTrouble(out io.Writer, patience time.Duration) func(error) {
	p := &progress{out: out}
	return func(err error) { p.trouble(err, patience) }
}
