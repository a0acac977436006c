package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	fencedBlock = regexp.MustCompile("(?ms)^```.*?^```$")
	pageLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	pageHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	noAnchor    = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors returns what a page's headings can be linked by, as GitHub makes it of them.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, heading := range pageHeading.FindAllStringSubmatch(text, -1) {
		found[strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(heading[1]), ""), " ", "-")] = true
	}
	return found
}

// Every page is found from the README, and no link leads nowhere.
func TestPagesAreLinkedAndLinksLead(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	text := map[string]string{}
	for _, page := range append(pages, "README.md", "CONTRIBUTING.md") {
		content, err := os.ReadFile(page)
		require.NoError(t, err)
		text[page] = fencedBlock.ReplaceAllString(string(content), "")
	}
	linked := map[string]bool{}
	for page, content := range text {
		for _, match := range pageLink.FindAllStringSubmatch(content, -1) {
			target := match[1]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), filepath.FromSlash(file))
			}
			_, err := os.Stat(to)
			if !os.IsNotExist(err) && page == "README.md" {
				linked[to] = true
			}
			require.NoError(t, err, "%s links to %s", page, target)
			if anchor != "" {
				content, err := os.ReadFile(to)
				require.NoError(t, err)
				require.True(t, anchors(string(content))[anchor], "%s links to %s, which has no such heading", page, target)
			}
		}
	}
	for _, page := range pages {
		require.True(t, linked[page], "%s is not linked from README.md", page)
	}
}
