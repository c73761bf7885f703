// Package documents fills documents with numbers that were measured and with code that compiles.
//
// Two kinds of markers have a document filled. Between the markers of the first stands what was
// measured:
//
//	<!--bench:fleet;workers idle;NextRequeue;late p50 (s)-->50 ms<!--/bench-->
//
// The second goes before a Go block, which is a file, or a part of one that stands between
// the comments "// doc: name" and "// end":
//
//	<!--code:examples/snippets/snippets.go#name-->
package documents

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

var (
	numbers = regexp.MustCompile(`(?s)<!--bench:(.+?)-->(.*?)<!--/bench-->`)
	blocks  = regexp.MustCompile("(?s)<!--code:([^#> ]+?)(?:#([a-z0-9-]+))?-->(\n+)([ \t]*)```go\n.*?\n[ \t]*```\n")
	parts   = regexp.MustCompile(`(?ms)^[ \t]*// doc: (\S+)\n(.*?)^[ \t]*// end$`)
	wanted  = regexp.MustCompile(` // want .*`) // is for the test of the linter
)

// Fill fills a document with what was measured. It fails for a marker of what there is not, and
// for Go that has no marker. Files are below the current directory.
func Fill(text string, measured func(key string) (string, bool)) (string, error) {
	var wrong []string
	text = numbers.ReplaceAllStringFunc(text, func(found string) string {
		key := numbers.FindStringSubmatch(found)[1]
		value, ok := measured(key)
		if !ok {
			wrong = append(wrong, "nothing measures "+key)
		}
		return "<!--bench:" + key + "-->" + value + "<!--/bench-->"
	})
	goBlocks, filled := strings.Count(text, "```go"), 0
	text = blocks.ReplaceAllStringFunc(text, func(found string) string {
		filled++
		m := blocks.FindStringSubmatch(found)
		file, name, gap, indent := m[1], m[2], m[3], m[4]
		code, err := snippet(file, name)
		if err != nil {
			wrong = append(wrong, err.Error())
		}
		marker, _, _ := strings.Cut(found, "-->")
		lines := strings.Split("```go\n"+code+"\n```", "\n")
		for i, line := range lines {
			if line != "" {
				lines[i] = indent + line
			}
		}
		return marker + "-->" + gap + strings.Join(lines, "\n") + "\n"
	})
	if goBlocks != filled {
		wrong = append(wrong, fmt.Sprintf("%d of %d Go blocks have no marker <!--code:file#name-->", goBlocks-filled, goBlocks))
	}
	if strings.Count(text, "<!--bench:") != len(numbers.FindAllString(text, -1)) {
		wrong = append(wrong, "a marker <!--bench:key--> has no end")
	}
	if wrong != nil {
		return "", fmt.Errorf("%s", strings.Join(wrong, "\n"))
	}
	return text, nil
}

// snippet is a file, or the part of it with the name, without its indentation.
func snippet(file, name string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	code := string(data)
	if name != "" {
		found := map[string]string{}
		for _, m := range parts.FindAllStringSubmatch(code, -1) {
			found[m[1]] = m[2]
		}
		var ok bool
		if code, ok = found[name]; !ok {
			return "", fmt.Errorf("%s has no part %q, but %v", file, name, slices.Sorted(maps.Keys(found)))
		}
	}
	code = strings.Trim(wanted.ReplaceAllString(code, ""), "\n")
	indent := code[:len(code)-len(strings.TrimLeft(code, "\t"))] // of the first line
	return strings.ReplaceAll(strings.TrimPrefix(code, indent), "\n"+indent, "\n"), nil
}
