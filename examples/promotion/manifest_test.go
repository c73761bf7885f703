package main

import (
	"os"
	"path/filepath"
	"strings"
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
		{"one name twice", good + good, `standard input: metadata.name: Duplicate value: "good"`},
		{"no YAML", "a: [", "document 1: error converting YAML"},
		{"no object", "just text", "document 1: error unmarshaling"},
		{"one key twice", replace("stage: test", "stage: test\n  stage: test"), `key "stage" already set`},
		{"nothing", "# only a comment", "standard input: no manifest of kind Promotion"},
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
	var names []string
	for _, m := range all {
		names = append(names, m.name)
	}
	assert.Equal(t, []string{"a1", "a2", "b", "c"}, names)

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
	assert.ErrorContains(t, err, "no manifest of kind Promotion")
}
