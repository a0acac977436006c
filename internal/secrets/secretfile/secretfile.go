// Package secretfile reads secrets that are mounted as files.
package secretfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// MaxBytes is how large a secret may be: as large as one of AWS Secrets Manager.
const MaxBytes = 64 << 10

// Read returns the secret that a file holds, without the newline at its end.
func Read(path string) (string, error) {
	// A pipe would be waited for: look before opening.
	if info, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	} else if !info.Mode().IsRegular() {
		return "", fmt.Errorf("read secret: %s is not a file", path)
	}
	file, err := os.Open(path) //nolint:gosec // the file that the configuration names
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(file, MaxBytes+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if len(content) > MaxBytes {
		return "", fmt.Errorf("read secret: %s has more than %d bytes", path, MaxBytes)
	}
	content = bytes.TrimSuffix(content, []byte("\n"))
	return strings.TrimSuffix(string(content), "\r"), nil
}
