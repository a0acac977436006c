package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// findCases returns the cases below paths, in their order.
func findCases(paths []string) ([]*pipelineCase, error) {
	var cases []*pipelineCase
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		before := len(cases)
		if info.IsDir() {
			cases, err = casesBelow(cases, path)
		} else {
			cases, err = appendCase(cases, path, false)
		}
		if err != nil {
			return nil, err
		}
		if len(cases) == before {
			return nil, fmt.Errorf("%s: there are no cases here: a case is a folder with %s, or a YAML file, below pipelines/tests/PIPELINE", path, caseIn)
		}
	}
	return cases, nil
}

// casesBelow adds the cases of a case, of a folder of them, or of a configuration.
func casesBelow(cases []*pipelineCase, path string) ([]*pipelineCase, error) {
	if tests := filepath.Join(path, "pipelines", "tests"); isFolder(tests) {
		path = tests
	}
	err := filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := entry.Name(); {
		case entry.IsDir():
			return nil
		case name == caseIn || name == caseFile:
			folder := filepath.Dir(at)
			if len(cases) > 0 && cases[len(cases)-1].path == folder {
				return nil
			}
			cases, err = appendCase(cases, folder, true)
		case filepath.Ext(name) == ".yaml":
			cases, err = appendCase(cases, at, false)
		}
		return err
	})
	return cases, err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// appendCase adds a case: the folder that it lies in is named like its pipeline.
func appendCase(cases []*pipelineCase, path string, folder bool) ([]*pipelineCase, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	of := filepath.Dir(absolute)
	c := &pipelineCase{pipeline: filepath.Base(of), path: path, folder: folder}
	c.name = c.pipeline + "/" + strings.TrimSuffix(filepath.Base(absolute), ".yaml")
	if tests := filepath.Dir(of); filepath.Base(tests) == "tests" && filepath.Base(filepath.Dir(tests)) == "pipelines" {
		c.config = filepath.Dir(filepath.Dir(tests))
	}
	if slices.ContainsFunc(cases, func(other *pipelineCase) bool { return filepath.Clean(other.path) == filepath.Clean(path) }) {
		return cases, nil
	}
	return append(cases, c), nil
}
