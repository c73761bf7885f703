package documents_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/requeue-go/requeue/internal/documents"
)

func TestFill(t *testing.T) {
	t.Chdir(t.TempDir())
	file := "package p\n\nfunc f() {\n\t// doc: one\n\tif true {\n\t\tg()\n\n\t\th() // so // want `RQ001`\n\t}\n\t// end\n}\n\n// doc: two\nvar x int\n\n// end\n"
	require.NoError(t, os.WriteFile("p.go", []byte(file), 0o644))
	measured := func(key string) (string, bool) {
		return map[string]string{"a;late (s)": "2", "table": "\n\n| x |\n\n"}[key], key != "nobody"
	}
	for _, c := range []struct{ text, want, wrong string }{
		{text: "one <!--bench:a;late (s)-->1<!--/bench-->, <!--bench:table--><!--/bench-->", want: "one <!--bench:a;late (s)-->2<!--/bench-->, <!--bench:table-->\n\n| x |\n\n<!--/bench-->"},
		{text: "<!--bench:nobody-->1<!--/bench-->", wrong: "nothing measures nobody"},
		{text: "<!--bench:table-->1", wrong: "has no end"},
		{text: "so: <!--code:p.go#two-->\n\n```go\n```go\nold\n```\n", wrong: "1 of 2 Go blocks have no marker"},
		{text: "so: <!--code:p.go#two-->\n\n```go\nold\n```\nand", want: "so: <!--code:p.go#two-->\n\n```go\nvar x int\n```\nand"},
		{text: "- x\n\n  <!--code:p.go#one-->\n  ```go\n  old\n  ```\n", want: "- x\n\n  <!--code:p.go#one-->\n  ```go\n  if true {\n  \tg()\n\n  \th() // so\n  }\n  ```\n"},
		{text: "<!--code:p.go-->\n```go\nold\n```\n", want: "<!--code:p.go-->\n```go\n" + strings.Replace(file, " // want `RQ001`", "", 1) + "```\n"},
		{text: "<!--code:p.go#three-->\n```go\nold\n```\n", wrong: `no part "three", but [one two]`},
		{text: "<!--code:q.go-->\n```go\nold\n```\n", wrong: "no such file"},
		{text: "```go\nold\n```\n", wrong: "1 of 1 Go blocks have no marker"},
	} {
		filled, err := documents.Fill(c.text, measured)
		if c.wrong != "" {
			assert.ErrorContains(t, err, c.wrong)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, c.want, filled)
		again, err := documents.Fill(filled, measured)
		require.NoError(t, err)
		assert.Equal(t, filled, again)
	}
}
