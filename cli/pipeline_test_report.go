package cli

import (
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"
)

// writeTested tells what became of a case.
func writeTested(out io.Writer, t testedCase) error {
	var b strings.Builder
	verdict := "ok  "
	if !t.Passed {
		verdict = "FAIL"
	}
	fmt.Fprintf(&b, "%s  %s", verdict, t.Case)
	if t.Summary != "" {
		fmt.Fprintf(&b, "  %s", strings.Join(strings.Fields(t.Summary), " "))
	}
	b.WriteString("\n")
	for _, path := range t.Updated {
		fmt.Fprintf(&b, "      %s written\n", path)
	}
	for _, f := range t.Failures {
		for line := range strings.Lines(f.String()) {
			b.WriteString("      " + strings.TrimRight(line, "\n") + "\n")
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// String returns the failure as a person reads it.
func (f caseFailure) String() string {
	place := f.File
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	text := place + ": " + f.Message
	if f.Diff == "" && f.Run != "" {
		text += " (" + f.Run + ")"
	}
	return text + "\n" + f.Diff
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class    string         `xml:"classname,attr"`
	Name     string         `xml:"name,attr"`
	File     string         `xml:"file,attr"`
	Failures []junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// writeJUnit writes the results in the form that build servers read.
func writeJUnit(path string, results []testedCase) error {
	suite := junitSuite{Name: "rastro pipeline test", Tests: len(results)}
	for _, t := range results {
		class, name, _ := strings.Cut(t.Case, "/")
		c := junitCase{Class: class, Name: name, File: t.Path}
		for _, f := range t.Failures {
			c.Failures = append(c.Failures, junitFailure{Message: f.Message, Text: f.String()})
		}
		if !t.Passed {
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, c)
	}
	text, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	if err := os.WriteFile(path, []byte(xml.Header+string(text)+"\n"), 0o644); err != nil { //nolint:gosec // a report is no secret
		return fmt.Errorf("write JUnit: %w", err)
	}
	return nil
}
