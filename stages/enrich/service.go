package enrich

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/rastrohq/rastro/internal/outbound"
)

// service finds entries by GET requests.
type service struct {
	client   *outbound.Client
	address  template
	parallel int
}

func newService(c HTTP, parts int, files fs.FS) (*service, error) {
	address, err := parseTemplate(c.URL, parts)
	if err != nil {
		return nil, fmt.Errorf("lookup.http.url: %w", err)
	}
	client, err := outbound.New(c.Access, outbound.Limits{Timeout: c.Timeout, MaxAnswer: maxEntry, Conns: c.Parallel}, files)
	if err != nil {
		return nil, fmt.Errorf("lookup.http: %w", err)
	}
	return &service{client: client, address: address, parallel: c.Parallel}, nil
}

// find implements source. The first failure ends it: whether the others would have worked will show when it is asked again.
func (s *service) find(ctx context.Context, keys []key) ([]answer, error) {
	answers := make([]answer, len(keys))
	group, until := errgroup.WithContext(ctx)
	group.SetLimit(s.parallel)
	for i, k := range keys {
		if until.Err() != nil {
			break
		}
		group.Go(func() (err error) {
			answers[i], err = s.get(until, k)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return answers, err
	}
	return answers, ctx.Err()
}

// Close implements source.
func (s *service) Close() error { return s.client.Close() }

var acceptJSON = http.Header{"Accept": {"application/json"}}

func (s *service) get(ctx context.Context, k key) (answer, error) {
	address, ok := s.address.expand(k.parts)
	if !ok {
		return answer{given: true, refused: "it cannot be part of an address"}, nil
	}
	got, err := s.client.Do(ctx, http.MethodGet, address, acceptJSON, nil)
	if err != nil {
		return answer{}, err
	}
	switch got.Status {
	case http.StatusOK:
		if got.Cut {
			return answer{given: true, refused: tooLarge}, nil
		}
		return entryOf(got.Body)
	case http.StatusNoContent, http.StatusNotFound, http.StatusGone:
		return answer{given: true}, nil
	case http.StatusBadRequest, http.StatusRequestURITooLong, http.StatusUnprocessableEntity:
		return answer{given: true, refused: got.Message()}, nil
	default:
		return answer{}, fmt.Errorf("answer %s", got.Message())
	}
}

func entryOf(body []byte) (answer, error) {
	text := strings.TrimSpace(string(body))
	switch {
	case text == "null":
		return answer{given: true}, nil
	case !json.Valid([]byte(text)):
		return answer{}, errors.New("the answer is not JSON")
	default:
		return answer{given: true, value: json.RawMessage(text)}, nil
	}
}

// template is an address with places for the parts of a key.
type template struct {
	literals []string // one more than places
	places   []place
}

// place is where a part of the key stands in an address.
type place struct {
	part  int
	query bool // in the query, where other characters are escaped than in the path
}

// parseTemplate reads an address with {key}, {1}, {2} and so on in its path and query. Every part must be used.
func parseTemplate(text string, parts int) (template, error) {
	var t template
	used, inQuery := make([]bool, parts), false
	for rest, found := text, true; found; {
		var literal, name string
		var closed bool
		literal, rest, found = strings.Cut(rest, "{")
		inQuery = inQuery || strings.Contains(literal, "?")
		t.literals = append(t.literals, literal)
		if !found {
			break
		}
		name, rest, closed = strings.Cut(rest, "}")
		if closed {
			name += "}"
		}
		part, ok := partOf(name, parts)
		if !ok {
			return template{}, fmt.Errorf("{%s stands for no part of the key; write {key}, or {1} to {%d}", name, parts)
		}
		used[part] = true
		t.places = append(t.places, place{part, inQuery})
	}
	if i := slices.Index(used, false); i >= 0 && text != "" {
		return template{}, fmt.Errorf("it does not use part %d of the key; write for example https://example.com/gates/{key}", i+1)
	}
	if err := outbound.ValidateURL(strings.Join(t.literals, "x")); err != nil {
		return template{}, err
	}
	// Whatever the key, the host stays the same.
	if first, err := url.Parse(t.literals[0]); err != nil || first.Host == "" || first.Path == "" && first.RawQuery == "" && !first.ForceQuery {
		return template{}, errors.New("the key belongs into the path or the query; write for example https://example.com/gates/{key}")
	}
	return t, nil
}

// partOf returns which part of the key a name stands for that ends in a brace.
func partOf(name string, parts int) (int, bool) {
	if name == "key}" && parts == 1 {
		return 0, true
	}
	number, closed := strings.CutSuffix(name, "}")
	n, err := strconv.Atoi(number)
	return n - 1, closed && err == nil && n >= 1 && n <= parts
}

// expand puts the parts of a key into the address. It reports false when no address can have them: a part that is two dots, for
// example, would lead elsewhere.
func (t template) expand(parts []string) (string, bool) {
	var b strings.Builder
	b.WriteString(t.literals[0])
	for i, at := range t.places {
		if at.query {
			b.WriteString(url.QueryEscape(parts[at.part]))
		} else {
			b.WriteString(url.PathEscape(parts[at.part]))
		}
		b.WriteString(t.literals[i+1])
	}
	address := b.String()
	path, _, _ := strings.Cut(address, "?")
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return "", false
		}
	}
	return address, true
}
