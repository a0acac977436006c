package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

const (
	indexName = "index.html"
	assetsDir = "assets/"
	// minGzip is what is worth compressing, in bytes: below that everything fits into one packet anyway.
	minGzip = 1024
)

// What the edge writes into index.html stands where these are.
const (
	baseElement  = `<base href="/">`
	nonceElement = `<meta name="csp-nonce" content="">`
	// A page may do without this one.
	environmentElement = `<meta name="rastro-environment" content="">`
)

// file is one file, ready to be sent.
type file struct {
	plain       []byte
	gzipped     []byte // nil when that is no smaller
	contentType string
	etag        string
}

// files are the built dashboard, in memory: a few megabytes, read and compressed once.
type files struct {
	byName map[string]*file
	page   string
}

// load reads the files. A name.gz beside a name is its compressed form; what lacks one and shrinks is compressed here.
func load(from fs.FS) (*files, error) {
	page, err := fs.ReadFile(from, indexName)
	if err != nil {
		return nil, fmt.Errorf("read dashboard: %w", err)
	}
	all := &files{byName: make(map[string]*file), page: string(page)}
	for _, element := range []string{baseElement, nonceElement} {
		if strings.Count(all.page, element) != 1 {
			return nil, fmt.Errorf("read dashboard: index.html must hold %s once", element)
		}
	}
	err = fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == indexName {
			return err
		}
		f, err := read(from, name)
		if err != nil {
			return err
		}
		all.byName[name] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read dashboard: %w", err)
	}
	for name := range all.byName { // compressed forms are served under the names of the plain ones
		if _, ok := all.byName[strings.TrimSuffix(name, ".gz")]; ok && strings.HasSuffix(name, ".gz") {
			delete(all.byName, name)
		}
	}
	return all, nil
}

func read(from fs.FS, name string) (*file, error) {
	plain, err := fs.ReadFile(from, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	sum := sha256.Sum256(plain)
	f := &file{plain: plain, contentType: contentType(name, plain)}
	// Weak: the compressed form has the same meaning and other bytes.
	f.etag = `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	zipped, err := fs.ReadFile(from, name+".gz")
	switch {
	case err == nil:
		f.gzipped = zipped
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read %s.gz: %w", name, err)
	case len(plain) >= minGzip && compressible(f.contentType):
		if f.gzipped, err = compress(plain); err != nil {
			return nil, fmt.Errorf("compress %s: %w", name, err)
		}
	}
	return f, nil
}

func compress(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if out.Len() >= len(plain) {
		return nil, nil
	}
	return out.Bytes(), nil
}

// contentType goes by the name. The machine's own tables are not asked: the same file must have the same type
// everywhere.
func contentType(name string, plain []byte) string {
	types := map[string]string{
		".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8", ".ico": "image/x-icon",
		".js": "text/javascript; charset=utf-8", ".json": "application/json", ".map": "application/json",
		".mjs": "text/javascript; charset=utf-8", ".png": "image/png", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
		".wasm": "application/wasm", ".webmanifest": "application/manifest+json", ".woff": "font/woff", ".woff2": "font/woff2",
	}
	if t, ok := types[path.Ext(name)]; ok {
		return t
	}
	return http.DetectContentType(plain)
}

func compressible(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	return strings.HasPrefix(media, "text/") || slices.Contains([]string{
		"application/json", "application/manifest+json", "application/wasm", "image/svg+xml", "image/x-icon",
	}, media)
}

// index is the page under a base path, with a nonce.
func (f *files) index(base, nonce, environment string) string {
	return strings.NewReplacer(
		baseElement, `<base href="`+html.EscapeString(base)+`">`,
		nonceElement, `<meta name="csp-nonce" content="`+html.EscapeString(nonce)+`">`,
		environmentElement, `<meta name="rastro-environment" content="`+html.EscapeString(environment)+`">`,
	).Replace(f.page)
}
