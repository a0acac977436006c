package query

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"github.com/rastrohq/rastro/store"
)

const (
	// exportPage is how many rows of an export are in memory at once.
	exportPage = 1000
	// exportTime is how long an export may take.
	exportTime = time.Hour
)

// export streams everything that a search matches, page by page: no transaction outlives a page, and a client that leaves or is slow
// holds up nothing but its own export. An export that fails is cut off without the end that a client waits for.
func export[T any](ctx context.Context, h *Handler, request *fiber.Ctx, k kind[T], contentType string, page store.SearchPage) (*huma.StreamResponse, error) {
	left := page.Limit
	page.Limit = exportPage
	if left > 0 {
		page.Limit = min(left, exportPage)
	}
	first, err := k.read(ctx, page) // so that what is wrong can still be said
	if err != nil {
		return nil, h.unavailable(ctx, "export "+k.name, err)
	}
	compress := strings.Contains(request.Get(fiber.HeaderAcceptEncoding), "gzip") && request.AcceptsEncodings("gzip") == "gzip"
	return &huma.StreamResponse{Body: func(huma.Context) {
		suffix := map[string]string{typeNDJSON: "ndjson", typeCSV: "csv"}[contentType]
		request.Status(http.StatusOK)
		request.Set(fiber.HeaderContentType, contentType+map[string]string{typeCSV: "; charset=utf-8; header=present"}[contentType])
		request.Set(fiber.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="%s-%s.%s"`, k.name, time.Now().UTC().Format("20060102T150405Z"), suffix))
		request.Set(fiber.HeaderCacheControl, "private, no-store")
		request.Set(fiber.HeaderVary, "Accept, Accept-Encoding")
		if compress {
			request.Set(fiber.HeaderContentEncoding, "gzip")
		}
		reader, writer := io.Pipe()
		request.Context().SetBodyStream(reader, -1) // closes the reader when the client has gone
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exportTime)
		go func() {
			defer cancel()
			stop := context.AfterFunc(ctx, func() { _ = writer.CloseWithError(ctx.Err()) })
			defer stop()
			go func() {
				select {
				case <-h.done:
					cancel()
				case <-ctx.Done():
				}
			}()
			e := exporter[T]{kind: k, csv: contentType == typeCSV, page: page, left: left}
			err := e.run(ctx, writer, compress, first)
			if err != nil && !errors.Is(err, io.ErrClosedPipe) {
				h.deps.Logger.WarnContext(ctx, "an export ended early", slog.String("of", k.name), slog.Any("error", err))
			}
			_ = writer.CloseWithError(err) // nil is the end
		}()
	}}, nil
}

// exporter writes the rows of one export.
type exporter[T any] struct {
	kind[T]

	csv  bool
	page store.SearchPage
	left int // rows still to be written; 0 for all
}

func (e *exporter[T]) run(ctx context.Context, to io.Writer, compress bool, rows []T) error {
	buffered := bufio.NewWriterSize(to, 32<<10)
	var w io.Writer = buffered
	flush := buffered.Flush
	if compress {
		zipped := gzip.NewWriter(buffered)
		w = zipped
		flush = func() error { return errors.Join(zipped.Close(), buffered.Flush()) }
	}
	if err := e.rows(ctx, w, rows); err != nil {
		return err
	}
	return flush()
}

func (e *exporter[T]) rows(ctx context.Context, w io.Writer, rows []T) error {
	table := csv.NewWriter(w)
	if e.csv {
		if err := table.Write(e.header); err != nil {
			return err
		}
	}
	lines := json.NewEncoder(w)
	written := 0
	for {
		for _, row := range rows {
			if err := e.row(table, lines, row); err != nil {
				return err
			}
		}
		table.Flush()
		if err := table.Error(); err != nil {
			return err
		}
		written += len(rows)
		if len(rows) < e.page.Limit || e.left > 0 && written >= e.left {
			return nil
		}
		key := e.after(rows[len(rows)-1], e.page.Sort)
		e.page.After = &key
		if e.left > 0 {
			e.page.Limit = min(e.left-written, exportPage)
		}
		var err error
		if rows, err = e.read(ctx, e.page); err != nil {
			return err
		}
	}
}

func (e *exporter[T]) row(table *csv.Writer, lines *json.Encoder, row T) error {
	if !e.csv {
		return lines.Encode(row)
	}
	record, err := e.record(row)
	if err != nil {
		return err
	}
	for i := range record {
		record[i] = harmless(record[i])
	}
	return table.Write(record)
}

// harmless returns a cell that no spreadsheet takes for a formula (OWASP: CSV injection).
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func instant(at *time.Time) string {
	if at == nil || at.IsZero() {
		return ""
	}
	return at.Format(time.RFC3339Nano)
}
