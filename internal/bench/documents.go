package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// documents have values of measurements between markers:
//
//	<!--bench:fleet.late-->0.09 s<!--/bench-->
var documents = []string{"README.md", "docs/demo.md", "docs/performance.md", "docs/adopting.md", "docs/monitoring.md"}

var marked = regexp.MustCompile(`(?s)<!--bench:([a-z0-9.-]+)-->(.*?)<!--/bench-->`)

// fill puts the values between the markers of a text, and fails for one that there is
// no value for.
func fill(text string, values map[string]string) (string, error) {
	var unknown []string
	filled := marked.ReplaceAllStringFunc(text, func(found string) string {
		key := marked.FindStringSubmatch(found)[1]
		value, ok := values[key]
		if !ok {
			unknown = append(unknown, key)
		}
		return "<!--bench:" + key + "-->" + value + "<!--/bench-->"
	})
	if unknown != nil {
		return "", fmt.Errorf("no measurement has the value of these markers: %s", strings.Join(unknown, ", "))
	}
	return filled, nil
}

// writeDocuments writes what the results show.
func writeDocuments(root string, all results) error {
	s, err := all.show()
	if err != nil {
		return err
	}
	for _, name := range documents {
		path := filepath.Join(root, name)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		filled, err := fill(string(text), s.values)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(path, []byte(filled), 0o644); err != nil {
			return err
		}
	}
	for _, f := range s.figures {
		for _, theme := range themes {
			svg, err := f.svg(theme)
			if err != nil {
				return fmt.Errorf("figure %s: %w", f.Name, err)
			}
			path := filepath.Join(root, f.path(theme))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(path, svg, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// table is a table in Markdown, between line breaks as a marker needs it.
func table(head []string, rows ...[]string) string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	b.WriteString("\n\n")
	line(head)
	line(slices.Repeat([]string{"---"}, len(head)))
	for _, cells := range rows {
		line(cells)
	}
	b.WriteString("\n")
	return b.String()
}
