package examples_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	links    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headings = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fences   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
)

// Every relative link of every Markdown file leads to a file that is there, and to a heading
// that it has.
func TestLinks(t *testing.T) {
	pages := map[string]string{}
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		pages[path] = fences.ReplaceAllString(string(text), "")
		return err
	}))
	require.Greater(t, len(pages), 5)
	checked := 0
	for page, text := range pages {
		for _, m := range links.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			checked++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			_, err := os.Stat(target)
			assert.NoError(t, err, "%s: %s", page, m[1])
			if anchor != "" {
				assert.Contains(t, anchors(pages[target]), anchor, "%s: %s", page, m[1])
			}
		}
	}
	assert.Greater(t, checked, 50)
}

// anchors are the headings of a page as GitHub names them.
func anchors(text string) (found []string) {
	for _, m := range headings.FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(m[1])
		name = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(name, "")
		found = append(found, strings.ReplaceAll(name, " ", "-"))
	}
	return found
}

func TestAnchors(t *testing.T) {
	assert.Equal(t, []string{"in-place-of-requeue-true", "client-go-work-queues"}, anchors("# In place of `Requeue: true`\ntext\n## client-go work queues"))
}
