package enrich

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// table is a CSV file in memory. It is immutable.
type table struct {
	entries map[string]json.RawMessage // by key.id
}

// find implements source.
func (t *table) find(_ context.Context, keys []key) ([]answer, error) {
	answers := make([]answer, len(keys))
	for i, k := range keys {
		answers[i] = answer{given: true, value: t.entries[k.id]}
	}
	return answers, nil
}

// Close implements source.
func (t *table) Close() error { return nil }

// readTable reads a file with a header row. Two rows of one key are an error: which of them counts would be anyone's guess.
func readTable(r io.Reader, c CSV) (*table, error) {
	buffered := bufio.NewReader(r)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = buffered.Discard(3) // as spreadsheets write it; these bytes are in the buffer
	}
	rows := csv.NewReader(buffered)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty; its first row names the columns")
	}
	if err != nil {
		return nil, err
	}
	header = slices.Clone(header)
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
	}
	if double := repeated(header); double != "" {
		return nil, fmt.Errorf("two columns are called %q", double)
	}
	keyAt, err := columnsOf(header, c.Key)
	if err != nil {
		return nil, err
	}
	valueAt, err := columnsOf(header, c.Columns)
	if err != nil {
		return nil, err
	}
	if len(c.Columns) == 0 {
		for i := range header {
			if !slices.Contains(keyAt, i) {
				valueAt = append(valueAt, i)
			}
		}
	}
	return readRows(rows, header, keyAt, valueAt)
}

func readRows(rows *csv.Reader, header []string, keyAt, valueAt []int) (*table, error) {
	t := &table{entries: map[string]json.RawMessage{}}
	lines := map[string]int{}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := rows.FieldPos(0)
		parts := make([]string, len(keyAt))
		for i, at := range keyAt {
			if parts[i] = strings.TrimSpace(row[at]); parts[i] == "" {
				return nil, fmt.Errorf("line %d: column %q is empty, and it is part of the key", line, header[at])
			}
		}
		k := newKey(parts)
		if before, twice := lines[k.id]; twice {
			return nil, fmt.Errorf("line %d: %s stands on line %d already", line, quoted(parts), before)
		}
		lines[k.id] = line
		if t.entries[k.id], err = object(header, row, valueAt); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// object returns the cells of a row as a JSON object, in the order of the columns chosen.
func object(header, row []string, columns []int) (json.RawMessage, error) {
	out := []byte{'{'}
	for _, at := range columns {
		if row[at] == "" {
			continue
		}
		name, err := json.Marshal(header[at])
		if err != nil {
			return nil, fmt.Errorf("write column: %w", err)
		}
		value, err := json.Marshal(row[at])
		if err != nil {
			return nil, fmt.Errorf("write cell: %w", err)
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, name...), ':'), value...)
	}
	return append(out, '}'), nil
}

func columnsOf(header []string, names Names) ([]int, error) {
	var indices []int
	for _, name := range names {
		at := slices.Index(header, name)
		if at < 0 {
			return nil, fmt.Errorf("there is no column %q; there is %s", name, strings.Join(header, ", "))
		}
		indices = append(indices, at)
	}
	return indices, nil
}

func repeated(names []string) string {
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return name
		}
	}
	return ""
}
