package enrich

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxEntry bounds an entry, in bytes: it travels with every event that it is added to.
const maxEntry = 64 << 10

// tooLarge says why an entry is not taken.
var tooLarge = fmt.Sprintf("its entry has more than %d bytes", maxEntry)

// errClosed says that a stage was used after it was closed.
var errClosed = errors.New("the stage is closed")

// database finds entries by a query. It connects when it is first asked, so that a config can be checked without a database.
type database struct {
	config *pgxpool.Config
	query  string
	limit  Remote

	mu     sync.Mutex
	pool   *pgxpool.Pool
	closed bool
}

func newDatabase(c Postgres) (*database, error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("parse database URL: %w", err) // pgx leaves the password out of its errors
	}
	config.MaxConns = c.Conns
	config.ConnConfig.ConnectTimeout = 2 * c.Timeout // queries have their own deadline, which is to be the one that tells
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = "rastro lookup"
	params["statement_timeout"] = strconv.FormatInt(max(1, c.Timeout.Milliseconds()), 10)
	params["default_transaction_read_only"] = "on"
	params["timezone"] = "UTC"
	config.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithDisableConnectionDetailsInAttributes())
	// PostgreSQL makes the JSON, so that every type has the form that it gives it. A query that is no SELECT does not parse there.
	query := strings.TrimRight(strings.TrimSpace(c.Query), "; \t\r\n")
	return &database{
		config: config, limit: c.Remote,
		query: "SELECT row_to_json(entry)::text FROM (\n" + query + "\n) AS entry LIMIT 1",
	}, nil
}

func (d *database) open(ctx context.Context) (*pgxpool.Pool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errClosed
	}
	if d.pool == nil {
		pool, err := pgxpool.NewWithConfig(ctx, d.config)
		if err != nil {
			return nil, fmt.Errorf("make connection pool: %w", err)
		}
		d.pool = pool
	}
	return d.pool, nil
}

// find implements source. It is one round trip, and one more for each key that the query cannot take, as when a text stands
// where the table has numbers: there can be no entry for it.
func (d *database) find(ctx context.Context, keys []key) ([]answer, error) {
	limited, cancel := context.WithTimeout(ctx, d.limit.Timeout)
	defer cancel()
	answers := make([]answer, len(keys))
	pool, err := d.open(ctx)
	if err != nil {
		return answers, err
	}
	for from := 0; from < len(keys); {
		n, err := ask(limited, pool, d.query, keys[from:], answers[from:])
		from += n
		if err == nil {
			continue
		}
		if limited.Err() != nil && ctx.Err() == nil {
			return answers, fmt.Errorf("query: no answer within %s", d.limit.Timeout)
		}
		if from == len(keys) || !isDataFault(err) {
			return answers, fmt.Errorf("query: %w", err)
		}
		answers[from] = answer{given: true, refused: err.Error()}
		from++
	}
	return answers, nil
}

// ask queries keys in one round trip and returns how many were answered before an error.
func ask(ctx context.Context, pool *pgxpool.Pool, query string, keys []key, answers []answer) (answered int, err error) {
	batch := &pgx.Batch{}
	for _, k := range keys {
		arguments := make([]any, len(k.parts))
		for i, part := range k.parts {
			arguments[i] = part // sent as text, which PostgreSQL reads as what the parameter is
		}
		batch.Queue(query, arguments...)
	}
	results := pool.SendBatch(ctx, batch)
	defer func() {
		if closing := results.Close(); err == nil {
			err = closing
		}
	}()
	for i := range keys {
		var entry *string
		switch err := results.QueryRow().Scan(&entry); {
		case errors.Is(err, pgx.ErrNoRows):
			answers[i] = answer{given: true}
		case err != nil:
			return i, err
		case entry == nil || len(*entry) > maxEntry:
			answers[i] = answer{given: true, refused: tooLarge}
		default:
			answers[i] = answer{given: true, value: json.RawMessage(*entry)}
		}
	}
	return len(keys), nil
}

// isDataFault reports whether an error is about the value of a parameter (SQLSTATE class 22, data exception).
func isDataFault(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.HasPrefix(pg.Code, "22")
}

// Close implements source.
func (d *database) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed = true; d.pool != nil {
		d.pool.Close()
		d.pool = nil
	}
	return nil
}
