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

func TestLoadManifests_bad(t *testing.T) {
	good := document("good", "timeout: 1s")
	replace := func(old, with string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, with, 1)
	}
	for _, tt := range []struct{ why, documents, want string }{
		{"another kind", good + replace("kind: Promotion", "kind: Stage"),
			"standard input: document 2: the kind is Stage of kargo.akuity.io/v1alpha1; want Promotion of kargo.akuity.io/v1alpha1"},
		{"another version", replace("v1alpha1", "v1"), "document 1: the kind is Promotion of kargo.akuity.io/v1; want"},
		{"no kind", "a: b", "Object 'Kind' is missing"},
		{"no name", replace("{name: good}", "{generateName: good-}"), "document 1: metadata.name is empty"},
		{"one name twice", good + good, "standard input: document 2: the name good is that of standard input: document 1, too; give"},
		{"a label that is no text", replace("{name: good}", "{name: good, labels: {a: 5}}"), "ObjectMeta.metadata.labels of type string"},
		{"no YAML", good + "\n  a: [", "standard input: yaml: line 14: did not find expected"},
		{"no object", "just text", "cannot unmarshal string"},
		{"an empty file", "", "standard input: nothing in it; want manifests of kind Promotion"},
		{"nothing", "# only a comment", "standard input: nothing in it; want manifests of kind Promotion"},
		{"separators alone", "---\n---\n", "standard input: nothing in it"},

		{"one key twice", replace("stage: test", "stage: test\n  stage: test"), `key "stage" already set in map`},
		{"one key twice in JSON", `{"kind":"x","kind":"y"}`, `document 1: duplicate field "kind"`},
		{"keys 1 and text 1", good + replace("stage: test", `labels: [{1: a, "1": b}]`), `document 2: key "1" already set, as another type`},
		{"keys of one value", replace("stage: test", "on: a\n  'true': b"), `key "true" already set, as another type`},
		{"items, as of a list", `{"apiVersion":"kargo.akuity.io/v1alpha1","kind":"Promotion","items":[]}`, `document 1: unknown field "items"`},
	} {
		_, err := loadManifests("-", strings.NewReader(tt.documents))
		assert.ErrorContains(t, err, tt.want, tt.why)
	}
	_, err := loadManifests("https://example.com/a.yaml", nil)
	assert.EqualError(t, err, "-f takes no URL; try: curl -fsS https://example.com/a.yaml | promotion -f -")
}

// What the API server refuses is told with its file, document, name and field.
func TestValidate(t *testing.T) {
	cfg := startServer(t)
	check := func(documents string) ([]manifest, error) {
		t.Helper()
		manifests, err := loadManifests("-", strings.NewReader(documents))
		require.NoError(t, err)
		return manifests, validate(t.Context(), cfg, "default", manifests)
	}
	good := document("good", "timeout: 1s")
	for _, tt := range []struct{ old, with, want string }{
		{"timeout: 1s", "timeOut: 1s", `unknown field "spec.steps[0].retry.timeOut"`},
		{"stage: test", "stag: test", `unknown field "spec.stag"`},
		{"{name: bad}", "{name: bad, label: {a: b}}", `unknown field "metadata.label"`},
		{"kind: Promotion", "kind: Promotion\nspek: {}", `unknown field "spek"`},
		{"retry: {timeout: 1s}", "retry: 1s", `spec.steps[0].retry: Invalid value: "string"`},
		{"timeout: 1s", "timeout: 300", `spec.steps[0].retry.timeout: Invalid value: "integer"`},
		{"steps:", "steps: []\n  x:", `unknown field "spec.x"`},
		{"{name: bad}", "{name: Not_Good}", `metadata.name: Invalid value: "Not_Good"`},
		{"{name: bad}", "{name: bad, labels: {-bad-: x}}", `metadata.labels: Invalid value: "-bad-"`},
		{"timeout: 1s", "timeout: 1d", `spec.steps[0].retry.timeout: Invalid value: "1d": want a duration such as 90s or 5m`},
		{"timeout: 1s", "timeout: 5m30", `spec.steps[0].retry.timeout: Invalid value: "5m30"`},
		{"timeout: 1s", `timeout: " 5m"`, `spec.steps[0].retry.timeout: Invalid value: " 5m"`},
	} {
		bad := document("bad", "timeout: 1s")
		require.Contains(t, bad, tt.old)
		manifests, err := check(good + strings.Replace(bad, tt.old, tt.with, 1))
		assert.ErrorContains(t, err, "standard input: document 2: "+manifests[1].name+": ")
		assert.ErrorContains(t, err, tt.want)
	}
	manifests, err := check(good + document("none", "timeout: ") + document("never", "timeout: -1s") + document("sign", "timeout: +5m"))
	require.NoError(t, err)
	var timeouts []time.Duration
	for _, m := range manifests {
		timeouts = append(timeouts, m.timeout)
	}
	assert.Equal(t, []time.Duration{time.Second, 0, 0, 5 * time.Minute}, timeouts)
	_, err = check(document("zero", "timeout: 0s"))
	assert.ErrorContains(t, err, "no promotion has a step with a timeout")

	shipped, err := loadManifests("", nil)
	require.NoError(t, err)
	require.NoError(t, validate(t.Context(), cfg, "default", shipped))
	assert.Len(t, shipped, 10)
	for _, m := range append(shipped, ballast{promotions: 2}.manifests()...) {
		assert.NoError(t, newClient(t, cfg).Create(t.Context(), m.copyFor("default")), "nothing was kept, and no name is there twice")
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
		{"JSON of one name twice", object("a") + object("a"), "", "document 2: the name a is that of"},
		{"JSON, then garbage", object("a") + "}}}}", "", "yaml: did not find expected"},
		{"JSON, then garbage on a line", object("a") + "\n}}}}\n", "", "yaml: line 1: did not find expected"},
		{"JSON twice, then garbage", object("a") + object("b") + "\nkind: x", "", "yaml: "},
		{"JSON twice, then a separator", object("a") + object("b") + "\n---\n" + object("c"), "", "yaml: "},
		{"JSON, then two separators, one with CR", object("a") + "\n---\n\r---\r" + object("b"), "", "of 2 documents kubectl's library reads 1"},
		{"a space that is none in JSON, then two objects", "\u00a0" + object("a") + object("b"), "a b", ""},
		{"JSON twice in a document of YAML", block("a") + "---\n" + object("b") + "\n" + object("c"), "", "yaml: "},
		{"JSON twice, far from the start", strings.Repeat(" ", 5000) + object("a") + "\n" + object("b"), "a b", ""},

		{"... then another kind", block("a") + "...\n" + secret, "", "document 2: the kind is Secret of v1"},
		{"... then another kind with ---", block("a") + "...\n---\n" + secret, "", "document 2: the kind is Secret of v1"},
		{"... then a promotion", block("a") + "... # the end\n" + block("b"), "a b", ""},
		{"... at the end", block("a") + "...", "a", ""},
		{"flow mappings on two lines", flow("a") + "\n" + flow("b"), "", "yaml: "},
		{"flow mappings with a separator", flow("a") + "\n---\n" + flow("b"), "a b", ""},
		{"lines that end in CR", lines("\r", block("a")+"---\n"+block("b")), "", "of 2 documents kubectl's library reads 1"},
		{"lines that end in U+2028", lines("\u2028", block("a")+"---\n"+secret), "", "of 2 documents kubectl's library reads 1"},
		{"lines that end in U+0085", lines("\u0085", block("a")+"...\n---\n"+block("b")), "", "of 2 documents kubectl's library reads 1"},
		{"one document with lines that end in CR", lines("\r", block("a")), "a", ""},
		{"lines that end in CR LF", lines("\r\n", block("a")+"---\n"+block("b")), "a b", ""},
		{"NUL, then more", block("a") + "\x00\n---\n" + block("b"), "", "yaml: control characters are not allowed"},
		{"not UTF-8", "# \xff\n" + block("a"), "", "standard input: encoding: invalid UTF-8"},

		{"a list", list("v1/List", object("a"), object("b")), "a b", ""},
		{"a list in YAML", "apiVersion: v1\nkind: List\nitems:\n- " + object("a") + "\n- " + object("b"), "a b", ""},
		{"a list of promotions", list("kargo.akuity.io/v1alpha1/PromotionList", object("a"), bare), "a b", ""},
		{"a list in a list, as kubectl does", list("v1/List", object("a"), list("v1/List", object("b"))), "", "is not a list"},
		{"a list with another kind", list("v1/List", object("a"), secret), "", "document 1: the kind is Secret of v1"},
		{"a list with one name twice", list("v1/List", object("a"), object("a")), "",
			"document 1: the name a is that of standard input: document 1, too; give"},
		{"a list with a null", list("v1/List", object("a"), "null"), "", "standard input: unable to get type info"},
		{"a list with a text", list("v1/List", object("a"), `"b"`), "", "cannot unmarshal string"},
		{"a list without items", "apiVersion: v1\nkind: List\nitems:\n", "", "nothing in it"},
		{"a list of another kind", list("v1/SecretList", secret), "", "the kind is Secret of v1"},
		{"a JSON array", "[" + object("a") + "]", "", "cannot unmarshal array"},

		{"an empty retry", strings.Replace(block("a"), "retry: {timeout: 1s}", "retry:", 1), "a", ""},
		{"empty metadata", strings.Replace(block("a"), "{name: a}", "{name: a, labels: , annotations: null}", 1), "a", ""},

		{"a byte order mark", "\ufeff" + block("a"), "a", ""},
		{"a byte order mark and JSON", "\ufeff" + object("a") + object("b"), "a b", ""},
		{"a separator with a comment", "--- # the first\n" + block("a") + "---   # the second\n" + block("b"), "a b", ""},
		{"a separator with more", block("a") + "--- " + flow("b"), "", "invalid Yaml document separator"},
		{"a directive, as kubectl does", "%YAML 1.2\n---\n" + block("a"), "", "yaml: found incompatible YAML document"},
		{"empty documents do not count", "---\n# nothing\n---\nnull\n---\n" + block("a") + "---\n" + secret, "", "document 2: the kind is Secret"},
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
	assert.ErrorContains(t, err, "document 10000: the kind is", "as fast")
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

	bad := write("z.yaml", document("z", "")+"---\nkind: Secret\napiVersion: v1\n")
	for _, from := range []string{dir, bad} {
		_, err = loadManifests(from, nil)
		assert.ErrorContains(t, err, bad+": document 2: the kind is Secret")
	}

	_, err = loadManifests(filepath.Join(dir, "none"), nil)
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = loadManifests(t.TempDir(), nil)
	assert.ErrorContains(t, err, "nothing in it; want manifests of kind Promotion")
}
