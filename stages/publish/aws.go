package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
)

// requests is how many requests are under way at once; one where the order counts.
const requests = 4

// awsOutlet sends messages to SNS or SQS, ten a request.
type awsOutlet struct {
	// request sends one request and returns what became of the entries that failed, by their position in it.
	request  func(ctx context.Context, entries []*message) (map[int]entryError, error)
	fifo     bool
	maxBytes int
	client   *http.Client
}

// entryError is the failure of one entry of a request.
type entryError struct {
	code, text string
	sender     bool
}

func (e entryError) Error() string { return e.code + ": " + e.text }

var errNotSent = errors.New("not sent: what stands before it did not get through")

func (o *awsOutlet) close() error {
	o.client.CloseIdleConnections()
	return nil
}

// send implements outlet. After a failure nothing more is begun: where the order counts it would be broken, and elsewhere
// a destination that is down is not asked once a request.
func (o *awsOutlet) send(ctx context.Context, messages []*message) {
	parallel := requests
	if o.fifo {
		parallel = 1
	}
	var (
		wg     sync.WaitGroup
		slots  = make(chan struct{}, parallel)
		mu     sync.Mutex
		failed error
	)
	for _, entries := range o.cut(messages) {
		slots <- struct{}{}
		mu.Lock()
		stop := failed
		mu.Unlock()
		if stop != nil {
			<-slots
			fail(entries, fmt.Errorf("%w: %w", errNotSent, stop))
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := o.deliver(ctx, entries); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = err
			}
		})
	}
	wg.Wait()
}

func fail(messages []*message, err error) {
	for _, m := range messages {
		m.err = err
	}
}

// deliver sends one request and says in its messages what became of them. It returns an error when what comes after must wait.
func (o *awsOutlet) deliver(ctx context.Context, entries []*message) error {
	failures, err := o.request(ctx, entries)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = errors.Join(cause, err)
		}
		if len(entries) > 1 && contentError(err) {
			return o.singly(ctx, entries)
		}
		if contentError(err) {
			entries[0].refuse(CodeRefused, printable(err.Error()))
			return nil
		}
		fail(entries, err)
		return err
	}
	var first error
	for i, failure := range failures {
		m := entries[i]
		if failure.sender && !passing(failure.code) {
			m.refuse(CodeRefused, printable(failure.Error()))
			continue
		}
		m.err, first = failure, failure
	}
	if !o.fifo {
		return nil // they fail by themselves, the service works
	}
	return first
}

// singly sends messages one by one, to find the one for which AWS refuses the whole request.
func (o *awsOutlet) singly(ctx context.Context, entries []*message) error {
	for i := range entries {
		if err := o.deliver(ctx, entries[i:i+1]); err != nil {
			fail(entries[i+1:], fmt.Errorf("%w: %w", errNotSent, err))
			return err
		}
	}
	return nil
}

// contentError reports whether a request failed for what is in one of its messages.
func contentError(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return false
	}
	code := api.ErrorCode()
	return strings.HasSuffix(code, "InvalidMessageContents") || strings.HasSuffix(code, "BatchRequestTooLong")
}

// passing reports whether a failure that AWS calls the sender's may be none another time: that of a limit, a key or a right.
func passing(code string) bool {
	for _, part := range []string{"throttl", "kms", "accessdenied", "auth", "limitexceeded", "overlimit"} {
		if strings.Contains(strings.ToLower(code), part) {
			return true
		}
	}
	return false
}

// cut makes requests of messages: as many as fit by number and by bytes. What fits into none is refused.
func (o *awsOutlet) cut(messages []*message) [][]*message {
	var all [][]*message
	var entries []*message
	size := 0
	for _, m := range messages {
		n := weight(m)
		if n > o.maxBytes {
			m.refuse(CodeTooLarge, fmt.Sprintf("the message is %d bytes long with its attributes; %d are allowed (max_bytes)", n, o.maxBytes))
			continue
		}
		if bad := notAllowed(m); bad != "" {
			m.refuse(CodeRefused, bad)
			continue
		}
		if len(entries) == maxEntries || size+n > o.maxBytes && len(entries) > 0 {
			all, entries, size = append(all, entries), nil, 0
		}
		entries, size = append(entries, m), size+n
	}
	if len(entries) > 0 {
		all = append(all, entries)
	}
	return all
}

// weight is what a message counts against the limit: its body, and the names, types and values of its attributes.
func weight(m *message) int {
	n := len(m.body)
	for _, a := range m.attributes {
		n += len(a.name) + len("String") + len(a.value)
	}
	return n
}

// notAllowed says what of a message SQS would refuse: characters that XML 1.0 does not have (SendMessage, "Message").
func notAllowed(m *message) string {
	if r, found := strangeIn(string(m.body)); found {
		return fmt.Sprintf("the message holds the character %U, which SNS and SQS do not take", r)
	}
	for _, a := range m.attributes {
		if r, found := strangeIn(a.value); found {
			return fmt.Sprintf("the attribute %s holds the character %U, which SNS and SQS do not take", a.name, r)
		}
	}
	return ""
}

func strangeIn(text string) (rune, bool) {
	for _, r := range text {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return r, true
		}
	}
	return 0, false
}

// groupID is a value as AWS takes it for a message group: up to 128 printable characters of ASCII without spaces. Any other is
// replaced by its digest, so that the same value is still the same group.
func groupID(value string) string {
	if len(value) <= 128 && strings.IndexFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0 {
		return value
	}
	digest := sha256.Sum256([]byte(value))
	return hex.EncodeToString(digest[:])
}

func entryID(i int) *string { return aws.String(strconv.Itoa(i)) }

// byEntry makes a map of failures, whose ids are the positions of entries.
func byEntry[E any](failures []E, read func(E) (id *string, e entryError), entries int) (map[int]entryError, error) {
	found := make(map[int]entryError, len(failures))
	for _, f := range failures {
		id, e := read(f)
		i, err := strconv.Atoi(aws.ToString(id))
		if err != nil || i < 0 || i >= entries {
			return nil, fmt.Errorf("the answer names an entry %q that was not sent: %w", aws.ToString(id), e)
		}
		found[i] = e
	}
	return found, nil
}

// printable keeps an error's text on one line, and short.
func printable(text string) string {
	const most = 500
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// awsConfig is read from where the AWS SDK looks for it: the environment, the shared files, the role of the task or instance.
// The HTTP client is the one that the SDK would use, with the certificates of AWS_CA_BUNDLE; the caller closes its connections.
func awsConfig(ctx context.Context, region string) (aws.Config, *http.Client, error) {
	var options []func(*awsconfig.LoadOptions) error
	if region != "" {
		options = append(options, awsconfig.WithRegion(region))
	}
	loaded, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	buildable, ok := loaded.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		buildable = awshttp.NewBuildableClient()
	}
	client := &http.Client{Transport: buildable.GetTransport()}
	loaded.HTTPClient = wholeBody{client}
	return loaded, client, nil
}

// maxResponse is far more than the answer to ten messages.
const maxResponse = 4 << 20

// wholeBody gives the SDK answers that have been read whole: smithy-go can lose a response that it reads while net/http closes
// the request, and then repeats a request that was carried out.
type wholeBody struct{ client *http.Client }

// Do implements aws.HTTPClient.
func (w wholeBody) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, fmt.Errorf("read the request: %w", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
		r.ContentLength = int64(len(sent))
	}
	response, err := w.client.Do(r) //nolint:gosec // the SDK says where to
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // all of it was read
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}
