package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The command is run in the root of a clone, and so are its tests.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// What the documents say between markers is what was measured, and their Go is code that
// compiles.
func TestDocuments(t *testing.T) {
	all, err := readResults()
	require.NoError(t, err)
	documents, err := documentsIn()
	require.NoError(t, err)
	require.Greater(t, len(documents), 5)
	for _, path := range documents {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		filled, err := fill(string(text), all)
		require.NoError(t, err, path)
		lines := strings.Split(string(text), "\n")
		for i, want := range strings.Split(filled, "\n") {
			if i >= len(lines) || lines[i] != want {
				assert.Fail(t, "run `go run ./internal/bench -write`", "%s:%d: want %q", path, i+1, want)
				break
			}
		}
		assert.Equal(t, len(filled), len(text), path)
	}
}

func TestFill(t *testing.T) {
	t.Chdir(t.TempDir())
	file := "package p\n\nfunc f() {\n\t// doc: one\n\tif true {\n\t\tg()\n\n\t\th() // so // want `RQ001`\n\t}\n\t// end\n}\n\n// doc: two\nvar x int\n\n// end\n"
	require.NoError(t, os.WriteFile("p.go", []byte(file), 0o644))
	all := results{
		"whole":   {{Of: []string{"all"}, Values: map[string]float64{"minutes": 2}}},
		"race":    {{Of: []string{"1s", "by hand"}, Values: map[string]float64{"late max (s)": 0.0123}}, {Of: []string{"2s", "by hand"}, Values: map[string]float64{"late max (s)": 1}}},
		"handled": {{Of: []string{"x"}, Values: map[string]float64{"reconciles": 1}}},
	}
	for _, c := range []struct{ text, want, wrong string }{
		{text: "one <!--bench:whole;all;minutes-->1<!--/bench-->", want: "one <!--bench:whole;all;minutes-->2<!--/bench-->"},
		{text: "<!--bench:race;1s;by hand;late max (s)--><!--/bench-->", want: "<!--bench:race;1s;by hand;late max (s)-->12 ms<!--/bench-->"},
		{text: "<!--bench:race;*;by hand;late max (s)--><!--/bench-->", want: "<!--bench:race;*;by hand;late max (s)-->1 s<!--/bench-->"},
		{text: "<!--bench:handled--><!--/bench-->", want: "<!--bench:handled-->\n\n| waits | reconciles | second deadline late | never acted on |\n| --- | --- | --- | --- |\n| x | 1 |  |  |\n\n<!--/bench-->"},
		{text: "<!--bench:race;by hand;late max (s)-->1<!--/bench-->", wrong: "nothing measures race;by hand;late max (s)"},
		{text: "<!--bench:whole;all;minutes-->1", wrong: "has no end"},
		{text: "so: <!--code:p.go#two-->\n\n```go\n```go\nold\n```\n", wrong: "1 of 2 Go blocks have no marker"},
		{text: "so: <!--code:p.go#two-->\n\n```go\nold\n```\nand", want: "so: <!--code:p.go#two-->\n\n```go\nvar x int\n```\nand"},
		{text: "- x\n\n  <!--code:p.go#one-->\n  ```go\n  old\n  ```\n", want: "- x\n\n  <!--code:p.go#one-->\n  ```go\n  if true {\n  \tg()\n\n  \th() // so\n  }\n  ```\n"},
		{text: "<!--code:p.go-->\n```go\nold\n```\n", want: "<!--code:p.go-->\n```go\n" + wanted.ReplaceAllString(file, "") + "```\n"},
		{text: "<!--code:p.go#three-->\n```go\nold\n```\n", wrong: `no part "three", but [one two]`},
		{text: "<!--code:q.go-->\n```go\nold\n```\n", wrong: "no such file"},
		{text: "```go\nold\n```\n", wrong: "1 of 1 Go blocks have no marker"},
	} {
		filled, err := fill(c.text, all)
		if c.wrong != "" {
			assert.ErrorContains(t, err, c.wrong)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, c.want, filled)
		again, err := fill(filled, all)
		require.NoError(t, err)
		assert.Equal(t, filled, again)
	}
}
