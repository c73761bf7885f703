package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLoadManifests_shipped(t *testing.T) {
	all, err := loadManifests("", nil)
	require.NoError(t, err)
	var last time.Duration
	for _, m := range all {
		assert.Positive(t, m.timeout, m.name)
		last = max(last, m.timeout)
	}
	assert.Len(t, all, 10)
	assert.Equal(t, 12*time.Second, last)
}

func TestLoadManifests_bad(t *testing.T) {
	good := document("good", "timeout: 1s")
	replace := func(old, with string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, with, 1)
	}
	tests := []struct{ why, documents, want string }{
		{"a timeout that is no duration", good + document("bad", "timeout: banana"),
			`document 2: spec.steps[0].retry.timeout: Invalid value: "banana": want a duration such as 90s or 5m`},
		{"a timeout without a unit", document("bad", "timeout: 90"),
			`document 1: spec.steps[0].retry.timeout: Invalid value: 90: `},
		{"a retry that is no object", replace("retry: {timeout: 1s}", "retry: 1s"),
			`spec.steps[0].retry: Invalid value: "1s": `},
		{"no steps", replace("steps:", "other:"), "spec.steps: Required value"},
		{"another kind", replace("kind: Promotion", "kind: Stage"),
			`kind: Unsupported value: "Stage": supported values: "Promotion"`},
		{"another version", replace("v1alpha1", "v1"), `apiVersion: Unsupported value: "kargo.akuity.io/v1"`},
		{"a bad name", replace("name: good", "name: No_Good"), `metadata.name: Invalid value: "No_Good"`},
		{"no name", replace("{name: good}", "{}"), `metadata.name: Invalid value: ""`},
		{"a label that is no text", replace("{name: good}", "{name: good, labels: {a: 5}}"), `metadata.labels: Invalid value: `},
		{"a bad label", replace("{name: good}", "{name: good, labels: {-bad-: x}}"), `metadata.labels: Invalid value: "-bad-"`},
		{"a bad time", replace("{name: good}", "{name: good, creationTimestamp: yesterday}"), `metadata: Invalid value: `},
		{"one name twice", good + good, `document 2: metadata.name: Duplicate value: "good", as in standard input: document 1`},
		{"no YAML", "a: [", "document 1: yaml: line 1: did not find expected node content"},
		{"no object", "just text", `document 1: want an object with apiVersion, kind, metadata and spec, not "just text"`},
		{"one key twice", replace("stage: test", "stage: test\n  stage: test"), `key "stage" already set`},
		{"nothing", "# only a comment", "standard input: nothing in it; want manifests of kind Promotion"},
	}
	for _, tt := range tests {
		_, err := loadManifests("-", strings.NewReader(tt.documents))
		assert.ErrorContains(t, err, tt.want, tt.why)
		assert.ErrorContains(t, err, "standard input: ", tt.why)
	}
}

// What a server or another controller has added is not created again.
func TestManifest_copyFor(t *testing.T) {
	all, err := loadManifests("-", strings.NewReader(`
apiVersion: kargo.akuity.io/v1alpha1
kind: Promotion
metadata:
  name: p
  namespace: elsewhere
  labels: {a: b}
  annotations: {c: d}
  resourceVersion: "12"
  finalizers: [kargo.akuity.io/finalizer]
spec:
  stage: test
  steps: [{uses: http}]
status:
  phase: Running
`))
	require.NoError(t, err)
	assert.Equal(t, map[string]any{
		"apiVersion": "kargo.akuity.io/v1alpha1",
		"kind":       "Promotion",
		"metadata": map[string]any{"name": "p", "namespace": "here",
			"labels": map[string]any{"a": "b"}, "annotations": map[string]any{"c": "d"}},
		"spec": map[string]any{"stage": "test", "steps": []any{map[string]any{"uses": "http"}}},
	}, all[0].copyFor("here").Object)
}

// Of any input every promotion is read, or all of it is refused.
func TestLoadManifests_allOrNothing(t *testing.T) {
	object := func(name string) string {
		return `{"apiVersion":"kargo.akuity.io/v1alpha1","kind":"Promotion","metadata":{"name":"` + name +
			`"},"spec":{"steps":[{"retry":{"timeout":"1s"}}]}}`
	}
	flow := func(name string) string { return strings.NewReplacer(`":`, ": ", `"`, "").Replace(object(name)) }
	list := func(kind string, items ...string) string {
		return `{"apiVersion":"` + kind[:strings.LastIndex(kind, "/")] + `","kind":"` + kind[strings.LastIndex(kind, "/")+1:] +
			`","items":[` + strings.Join(items, ",") + `]}`
	}
	block := func(name string) string { return strings.TrimPrefix(document(name, "timeout: 1s"), "\n---\n") }
	timeout := func(value string) string { return document("a", "timeout: "+value) }
	secret := `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"}}`
	bare := strings.Replace(object("b"), `"apiVersion":"kargo.akuity.io/v1alpha1","kind":"Promotion",`, "", 1)
	lines := func(end, text string) string { return strings.ReplaceAll(text, "\n", end) }
	var many strings.Builder
	for i := range 10_000 {
		many.WriteString(document(fmt.Sprint("p", i), "timeout: 1s"))
	}
	tests := []struct{ why, input, names, refused string }{
		{"JSON objects, one a line", object("a") + "\n" + object("b"), "a b", ""},
		{"JSON objects without a separator", object("a") + object("b"), "a b", ""},
		{"JSON objects with a YAML separator", object("a") + "\n---\n" + object("b"), "a b", ""},
		{"a JSON object, then YAML", object("a") + "\n---\n" + block("b"), "a b", ""},
		{"a JSON object, then a comment", object("a") + "\n\n # that is all\n", "a", ""},
		{"a JSON object that YAML would not read", strings.Replace(object("a"), "{", `{"x":"\ud83d\ude00",`, 1), "a", ""},
		{"JSON of one name twice", object("a") + object("a"), "", `document 2: metadata.name: Duplicate value: "a"`},
		{"JSON with one key twice", strings.Replace(object("a"), "{", `{"kind":"x",`, 1), "", `document 1: duplicate field "kind"`},
		{"JSON, then garbage", object("a") + "}}}}", "", `document 1: what follows it, "}}}}", is no JSON`},
		{"JSON, then garbage on a line", object("a") + "\n}}}}\n", "", `document 1: what follows it, "}}}}", is no JSON`},
		{"JSON twice, then garbage", object("a") + object("b") + "\nkind: x", "", `document 2: what follows it, "kind: x", is no JSON`},
		{"JSON twice, then a separator", object("a") + object("b") + "\n---\n" + object("c"), "", `document 2: what follows it, "---", is no JSON`},
		{"JSON, then two separators, one with CR", object("a") + "\n---\n\r---\r" + object("b"), "", `document 2: another document, of kind "Promotion"`},
		{"a space that is none in JSON, then two objects", "\u00a0" + object("a") + object("b"), "", "document 1: something follows its end"},
		{"JSON twice in a document of YAML", block("a") + "---\n" + object("b") + "\n" + object("c"), "", "document 2: something follows its end"},
		{"JSON twice, far from the start", strings.Repeat(" ", 5000) + object("a") + "\n" + object("b"), "", "document 1: something follows its end"},

		{"... then another kind", block("a") + "...\n" + secret, "", `document 2: kind: Unsupported value: "Secret"`},
		{"... then another kind with ---", block("a") + "...\n---\n" + secret, "", `document 2: kind: Unsupported value: "Secret"`},
		{"... then a promotion", block("a") + "... # the end\n" + block("b"), "a b", ""},
		{"... at the end", block("a") + "...", "a", ""},
		{"flow mappings on two lines", flow("a") + "\n" + flow("b"), "", "document 1: something follows its end"},
		{"flow mappings with a separator", flow("a") + "\n---\n" + flow("b"), "a b", ""},
		{"lines that end in CR", lines("\r", block("a")+"---\n"+block("b")), "", `document 1: another document, of kind "Promotion"`},
		{"lines that end in U+2028", lines("\u2028", block("a")+"---\n"+secret), "", `document 1: another document, of kind "Secret"`},
		{"lines that end in U+0085", lines("\u0085", block("a")+"...\n---\n"+block("b")), "", "document 1: another document"},
		{"one document with lines that end in CR", lines("\r", block("a")), "a", ""},
		{"lines that end in CR LF", lines("\r\n", block("a")+"---\n"+block("b")), "a b", ""},
		{"NUL, then more", block("a") + "\x00\n---\n" + block("b"), "", "document 1: yaml: control characters are not allowed"},
		{"not UTF-8", "# \xff\n" + block("a"), "", "standard input: encoding: invalid UTF-8"},

		{"a list", list("v1/List", object("a"), object("b")), "a b", ""},
		{"a list in YAML", "apiVersion: v1\nkind: List\nitems:\n- " + object("a") + "\n- " + object("b"), "a b", ""},
		{"a list of promotions", list("kargo.akuity.io/v1alpha1/PromotionList", object("a"), bare), "a b", ""},
		{"a list in a list", list("v1/List", object("a"), list("v1/List", object("b"))), "a b", ""},
		{"a list with another kind", list("v1/List", object("a"), secret), "", `document 1: items[1].kind: Unsupported value: "Secret"`},
		{"a list in a list with another kind", list("v1/List", list("v1/List", secret)), "", `items[0].items[0].kind: Unsupported value: "Secret"`},
		{"a list with a bad timeout", list("v1/List", object("a"), strings.Replace(object("b"), "1s", "1d", 1)), "",
			`document 1: items[1].spec.steps[0].retry.timeout: Invalid value: "1d"`},
		{"a list with one name twice", list("v1/List", object("a"), object("a")), "",
			`document 1: items[1]: metadata.name: Duplicate value: "a", as in standard input: document 1: items[0]`},
		{"a list with a null", list("v1/List", object("a"), "null"), "", `items[1].kind: Unsupported value: ""`},
		{"a list with a text", list("v1/List", object("a"), `"b"`), "", `document 1: items[1]: Invalid value: "b": want an object`},
		{"a list without items", "apiVersion: v1\nkind: List\nitems:\n", "", "nothing in it"},
		{"a list of another kind", list("v1/SecretList"), "", `kind: Unsupported value: "SecretList"`},
		{"a JSON array", "[" + object("a") + "]", "", "document 1: want an object"},

		{"an empty timeout", timeout(""), "a", ""},
		{"an empty retry", strings.Replace(timeout(""), "retry: {timeout: }", "retry:", 1), "a", ""},
		{"empty metadata", strings.Replace(timeout(""), "{name: a}", "{name: a, labels: , annotations: null}", 1), "a", ""},
		{"an empty spec", "apiVersion: kargo.akuity.io/v1alpha1\nkind: Promotion\nmetadata: {name: a}\nspec:\n", "", "spec: Required value"},
		{"a timeout of days", timeout("1d"), "", `timeout: Invalid value: "1d": want a duration such as 90s or 5m`},
		{"a timeout that stops short", timeout("5m30"), "", `timeout: Invalid value: "5m30"`},
		{"a timeout with a sign", timeout("+5m"), "a", ""},
		{"a timeout with a space", timeout(`" 5m"`), "", `timeout: Invalid value: " 5m"`},
		{"a timeout that is a number", timeout("300"), "", "timeout: Invalid value: 300"},

		{"a byte order mark", "\ufeff" + block("a"), "a", ""},
		{"a byte order mark and JSON", "\ufeff" + object("a") + object("b"), "a b", ""},
		{"a separator with a comment", "--- # the first\n" + block("a") + "---   # the second\n" + block("b"), "a b", ""},
		{"a separator with more", block("a") + "--- " + flow("b"), "", "document 1: invalid Yaml document separator"},
		{"a directive, as kubectl does", "%YAML 1.2\n---\n" + block("a"), "", "document 1: yaml: found incompatible YAML document"},
		{"empty documents do not count", "---\n# nothing\n---\nnull\n---\n" + block("a") + "---\n" + secret, "", `document 2: kind`},
		{"nothing", "", "", "standard input: nothing in it"},
		{"separators alone", "---\n---\n", "", "standard input: nothing in it"},
	}
	for _, tt := range tests {
		all, err := loadManifests("-", strings.NewReader(tt.input))
		if tt.refused != "" {
			assert.ErrorContains(t, err, tt.refused, tt.why)
			continue
		}
		assert.NoError(t, err, tt.why)
		assert.Equal(t, strings.Fields(tt.names), namesOf(all), tt.why)
	}
	all, err := loadManifests("-", strings.NewReader(many.String()))
	assert.NoError(t, err)
	assert.Len(t, all, 10_000, "in a second or two")
	_, err = loadManifests("-", strings.NewReader(strings.Repeat("kind: Secret\n---\n", 10_000)))
	assert.ErrorContains(t, err, "document 10000: kind", "as fast")
}

// The same of promotions and what may stand between them, put together at random.
func TestLoadManifests_allOrNothingAtRandom(t *testing.T) {
	object := func(name string) string {
		return `{"apiVersion":"kargo.akuity.io/v1alpha1","kind":"Promotion","metadata":{"name":"` + name + `"},"spec":{"steps":[{}]}}`
	}
	between := []string{
		"", " ", "\t", "\v", "\u00a0", "\ufeff", "\x00", "\n", "\r", "---", "...", "}", ",", "# comment\n", "null", "null\n", "\n-\n",
		"---\n", "\n---\n", "\r\n---\r\n", "\n---   # comment\n", "\n---\n---\n", "...\n", "\n...\n", "\n...\n---\n", "\n...\r",
		"\r---\r", "\u2028---\u2028", "\u0085---\u0085", "\n%YAML 1.1\n---\n", strings.Repeat(" ", 4096),
	}
	random := rand.New(rand.NewPCG(1, 2))
	read := 0
	for range 5000 {
		var text strings.Builder
		var names []string
		for range 1 + random.IntN(7) {
			name := fmt.Sprintf("p%d", len(names))
			switch random.IntN(6) {
			case 0:
				text.WriteString(object(name))
			case 1:
				text.WriteString(strings.NewReplacer(`":`, ": ", `"`, "").Replace(object(name)))
			case 2:
				text.WriteString(strings.TrimPrefix(document(name, "timeout: 1s"), "\n---\n"))
			default:
				text.WriteString(between[random.IntN(len(between))])
				continue
			}
			names = append(names, name)
		}
		all, err := loadManifests("-", strings.NewReader(text.String()))
		if err == nil {
			read++
			require.Equal(t, names, namesOf(all), "%q", text.String())
		}
	}
	assert.Greater(t, read, 500)
}

func namesOf(all []manifest) (names []string) {
	for _, m := range all {
		names = append(names, m.name)
	}
	return names
}

// What may have no end is named and not opened.
func TestLoadManifests_noRegularFiles(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.Symlink(path("nowhere"), path("dangling.yaml")))
	require.NoError(t, os.Symlink(path("loop.yaml"), path("loop.yaml")))
	require.NoError(t, syscall.Mkfifo(path("x.yaml"), 0o600))
	require.NoError(t, os.Symlink(path("x.yaml"), path("link.yaml")))
	require.NoError(t, os.WriteFile(path("README.md"), []byte("not a manifest"), 0o600))
	require.NoError(t, os.WriteFile(path("good.yaml"), []byte(document("good", "timeout: 1s")), 0o600))
	require.NoError(t, os.Mkdir(path("below.yaml"), 0o700))

	_, err := loadManifests(dir, nil)
	for _, want := range []string{
		path("dangling.yaml") + ": no such file or directory",
		path("loop.yaml") + ": too many levels of symbolic links",
		path("x.yaml") + ": is no regular file",
		path("link.yaml") + ": is no regular file",
	} {
		assert.ErrorContains(t, err, want)
	}
	for _, other := range []string{"README.md", "good.yaml", "below.yaml"} {
		assert.NotContains(t, err.Error(), other)
	}
	for _, name := range []string{"dangling.yaml", "loop.yaml", "x.yaml", "link.yaml"} {
		_, err := loadManifests(path(name), nil)
		assert.ErrorContains(t, err, path(name))
		require.NoError(t, os.Remove(path(name)))
	}
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	for _, from := range []string{dir, link} {
		all, err := loadManifests(from, nil)
		assert.NoError(t, err)
		assert.Equal(t, []string{"good"}, namesOf(all))
	}
	require.NoError(t, os.WriteFile(path("good.yaml"), nil, 0o600))
	for _, from := range []string{dir, path("good.yaml")} {
		_, err = loadManifests(from, nil)
		assert.ErrorContains(t, err, from+": nothing in it")
	}
}

func TestLoadManifests_noTimeout(t *testing.T) {
	for _, line := range []string{"timeout: 0s", "timeout: -1s", ""} {
		all, err := loadManifests("-", strings.NewReader(document("p", line)))
		require.NoError(t, err, line)
		assert.LessOrEqual(t, all[0].timeout, time.Duration(0), line)
	}
}

func TestLoadManifests_filesAndDirectories(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write("a.yaml", document("a1", "timeout: 1s")+document("a2", "timeout: 2s"))
	write("b.yml", document("b", "timeout: 1s"))
	write("c.json", `{"apiVersion":"kargo.akuity.io/v1alpha1","kind":"Promotion","metadata":{"name":"c"},"spec":{"steps":[{}]}}`)
	write("README.md", "not a manifest")
	other := write("promotions.txt", document("d", ""))

	all, err := loadManifests(dir, nil)
	require.NoError(t, err)
	assert.Equal(t, []string{"a1", "a2", "b", "c"}, namesOf(all))

	all, err = loadManifests(other, nil)
	require.NoError(t, err)
	assert.Equal(t, "d", all[0].name)

	bad := write("z.yaml", document("z", "timeout: banana"))
	_, err = loadManifests(dir, nil)
	assert.ErrorContains(t, err, bad+": document 1: spec.steps[0].retry.timeout: Invalid value: \"banana\"")
	_, err = loadManifests(bad, nil)
	assert.ErrorContains(t, err, bad+": document 1: ")

	_, err = loadManifests(filepath.Join(dir, "none"), nil)
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = loadManifests(t.TempDir(), nil)
	assert.ErrorContains(t, err, "nothing in it; want manifests of kind Promotion")
}
