// Package config is the configuration: that of a process, by environment variables, and the files that pipelines are made of,
// shipped inside the binary and overlaid by a folder.
package config

import (
	"embed"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

//go:embed event.schema.json milestones.yaml tenants.yaml carriers/*.yaml pipelines/*.yaml reference
var shipped embed.FS

// Files returns the shipped configuration: pipelines/*.yaml, carriers/*.yaml, milestones.yaml, event.schema.json, tenants.yaml and the
// reference data. Paths in configs are relative to its root.
func Files() fs.FS { return shipped }

// Overlay returns the files of dir with the shipped ones behind: a file that dir has takes the place of the shipped file of
// the same path, every other shipped file stays, and folders list both. dir may change, or appear, later. Links that lead
// out of dir are not followed.
func Overlay(dir string) fs.FS { return overlay{front: folder(dir), back: Files()} }

// folder is a directory of the operating system, confined to what lies in it.
type folder string

// Open implements fs.FS.
func (f folder) Open(name string) (fs.File, error) {
	root, err := os.OpenRoot(string(f))
	if err != nil {
		return nil, err
	}
	file, err := root.FS().Open(name)
	return file, errors.Join(err, root.Close())
}

// overlay shows the files of front, and those of back that front does not have.
type overlay struct{ front, back fs.FS }

// Open implements fs.FS.
func (o overlay) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	front, err := o.front.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return o.back.Open(name)
	}
	if err != nil {
		return nil, err
	}
	info, err := front.Stat()
	if err != nil {
		return nil, errors.Join(err, front.Close())
	}
	if !info.IsDir() {
		return front, nil
	}
	entries, err := o.ReadDir(name)
	if err != nil {
		return nil, errors.Join(err, front.Close())
	}
	return &mergedDir{File: front, path: name, entries: entries}, nil
}

// ReadDir implements fs.ReadDirFS.
func (o overlay) ReadDir(name string) ([]fs.DirEntry, error) {
	front, err := fs.ReadDir(o.front, name)
	if errors.Is(err, fs.ErrNotExist) {
		return fs.ReadDir(o.back, name)
	}
	if err != nil {
		return nil, err
	}
	back, err := fs.ReadDir(o.back, name)
	if err != nil {
		return front, nil //nolint:nilerr // the folder is in front only, or a file behind it
	}
	for _, entry := range back {
		if !slices.ContainsFunc(front, func(e fs.DirEntry) bool { return e.Name() == entry.Name() }) {
			front = append(front, entry)
		}
	}
	slices.SortFunc(front, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return front, nil
}

// mergedDir is an open folder that lists the entries of both sides.
type mergedDir struct {
	fs.File
	path    string
	entries []fs.DirEntry
}

// Read implements fs.File: a folder has no content.
func (d *mergedDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.path, Err: errors.New("is a folder")}
}

// ReadDir implements fs.ReadDirFile.
func (d *mergedDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		entries := d.entries
		d.entries = nil
		return entries, nil
	}
	if len(d.entries) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.entries))
	entries := d.entries[:n:n]
	d.entries = d.entries[n:]
	return entries, nil
}
