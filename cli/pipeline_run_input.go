package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// inputLine is a line of the input. A fatal error ends it.
type inputLine struct {
	number int
	text   []byte
	err    error
	fatal  bool
}

// maxInputLine is the longest line that can be an event.
const maxInputLine = 16 << 20

var errLineTooLong = fmt.Errorf("the line is longer than %d MiB", maxInputLine>>20)

// readLines reads lines and hands on those that are there, a batch at most: an interactive input is not waited for.
func readLines(ctx context.Context, in io.Reader, batch int) <-chan []inputLine {
	lines := make(chan []inputLine)
	go func() {
		defer close(lines)
		reader := bufio.NewReaderSize(in, 256<<10)
		var taken []inputLine
		for number := 1; ; number++ {
			text, err := readInputLine(reader)
			end := err != nil && !errors.Is(err, errLineTooLong)
			if len(strings.TrimSpace(string(text))) > 0 || errors.Is(err, errLineTooLong) || end && !errors.Is(err, io.EOF) {
				line := inputLine{number: number, text: text, err: err}
				if errors.Is(err, io.EOF) {
					line.err = nil
				}
				line.fatal = end && line.err != nil
				taken = append(taken, line)
			}
			if len(taken) >= batch || end || reader.Buffered() == 0 && len(taken) > 0 {
				select {
				case lines <- taken:
				case <-ctx.Done():
					return
				}
				taken = nil
			}
			if end {
				return
			}
		}
	}()
	return lines
}

// readInputLine reads a line, without its end. Of one that is too long nothing is kept.
func readInputLine(reader *bufio.Reader) ([]byte, error) {
	var line []byte
	long := false
	for {
		part, err := reader.ReadSlice('\n')
		if long = long || len(line)+len(part) > maxInputLine; long {
			line = nil
		} else {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if long && (err == nil || errors.Is(err, io.EOF)) {
			return nil, errLineTooLong
		}
		return trimEnd(line), err
	}
}

func trimEnd(line []byte) []byte {
	return []byte(strings.TrimRight(string(line), "\r\n"))
}
