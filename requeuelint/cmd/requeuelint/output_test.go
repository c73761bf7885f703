package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/requeue-go/requeue/requeuelint"
)

func TestRun_json(t *testing.T) {
	t.Parallel()
	dir := create(t, nil)
	code, stdout, stderr := runIn(t, dir, "-json")
	var findings []finding
	if err := json.Unmarshal([]byte(stdout), &findings); err != nil || code != 1 || stderr != "" {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if len(findings) != 4 {
		t.Fatalf("got %d findings, want 4", len(findings))
	}
	f := findings[0]
	if f.Rule != "RQ001" || f.Line != 12 || f.Column != 40 || f.EndLine != 12 || f.EndColumn != 60 || !f.Fixable || !filepath.IsAbs(f.File) {
		t.Errorf("got %+v", f)
	}
	code, stdout, _ = runIn(t, dir, "-json", "./wait")
	if code != 0 || stdout != "[]\n" {
		t.Errorf("without findings: exit code %d, %q", code, stdout)
	}
}

func TestRun_sarif(t *testing.T) {
	t.Parallel()
	dir := create(t, nil)
	code, stdout, _ := runIn(t, dir, "-sarif")
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct{ ID, HelpURI string }
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI, URIBaseID string }
						Region           struct{ StartLine, StartColumn, EndLine, EndColumn int }
					}
				}
				Fixes []struct {
					ArtifactChanges []struct {
						Replacements []struct {
							InsertedContent struct{ Text string }
						}
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &log); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if log.Version != "2.1.0" || !strings.Contains(log.Schema, "sarif-2.1.0") || len(log.Runs) != 1 {
		t.Fatalf("no SARIF 2.1.0 of one run:\n%s", stdout)
	}
	r := log.Runs[0]
	if r.Tool.Driver.Name != "requeuelint" || len(r.Tool.Driver.Rules) != len(requeuelint.Rules()) || len(r.Results) != 4 {
		t.Fatalf("got %d rules and %d results", len(r.Tool.Driver.Rules), len(r.Results))
	}
	for _, result := range r.Results {
		if r.Tool.Driver.Rules[result.RuleIndex].ID != result.RuleID || result.Level != "warning" || result.Message.Text == "" {
			t.Errorf("got %+v", result)
		}
		at := result.Locations[0].PhysicalLocation
		if at.ArtifactLocation.URI != "controller.go" || at.ArtifactLocation.URIBaseID != "%SRCROOT%" || at.Region.StartLine < 1 || at.Region.EndColumn < at.Region.StartColumn {
			t.Errorf("got location %+v", at)
		}
	}
	if text := r.Results[0].Fixes[0].ArtifactChanges[0].Replacements; len(text) != 2 {
		t.Errorf("want the wait and the import in the fix, got %+v", text)
	}

	if code, stdout, _ = runIn(t, dir, "-sarif=log.sarif"); code != 1 || stdout != "" {
		t.Errorf("with a file: exit code %d, %q", code, stdout)
	}
	if file, err := os.ReadFile(filepath.Join(dir, "log.sarif")); err != nil || !json.Valid(file) {
		t.Errorf("log.sarif: %v\n%s", err, file)
	}
}

// Fixes of one file go together, with one import, and what they make compiles.
func TestRun_fix(t *testing.T) {
	t.Parallel()
	dir := create(t, map[string]string{"broken_test.go": "package operator\n\nimport _ \"example.com/refused\"\n"})
	file := filepath.Join(dir, "controller.go")

	code, diff, stderr := runIn(t, dir, "-diff")
	if strings.Contains(stderr, "need the go command of Go 1.26") {
		t.Skip(stderr)
	}
	if code != 1 || stderr != "" || !strings.HasPrefix(diff, "--- "+file) || strings.Count(diff, "\n+\treturn ") != 2 {
		t.Errorf("-diff: exit code %d\n%s%s", code, diff, stderr)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != module["controller.go"] {
		t.Errorf("-diff has changed the file: %v\n%s", err, text)
	}
	if code, diff, stderr := runIn(t, dir, "-diff", "-rules=RQ002"); code != 0 || diff+stderr != "" {
		t.Errorf("-diff without fixes: exit code %d\n%s%s", code, diff, stderr)
	}

	code, stdout, stderr := runIn(t, dir, "-fix")
	if code != 1 || !strings.Contains(stderr, "fixed 2 of 4") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	wantLines(t, stdout, all[2:])
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), `"github.com/requeue-go/requeue"`) != 1 || strings.Count(string(text), "requeue.From(time.Now()).Deadline(deadline).After()") != 2 {
		t.Errorf("got\n%s", text)
	}
	if code, stdout, stderr := in(t, dir, "go", "build", "./..."); code != 0 {
		t.Errorf("%s%s", stdout, stderr)
	}
	if code, stdout, stderr := runIn(t, dir, "-fix"); code != 1 || strings.Count(stdout, "\n") != 2 || stderr != "" {
		t.Errorf("again: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// go vet runs it, too.
func TestVetTool(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	code, _, stderr := in(t, create(t, nil), "go", "vet", "-vettool="+self, "./...")
	if code == 0 || strings.Count(stderr, "RQ001: ") != 3 || strings.Count(stderr, "RQ002: ") != 1 {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// With -trimpath the go command takes a package for the same wherever it lies, and prints what it
// has kept of another directory. What is printed and fixed is here all the same.
func TestRun_trimpath(t *testing.T) {
	t.Parallel()
	salt := map[string]string{"salt.go": fmt.Sprintf("package operator\n\n// %d\n", time.Now().UnixNano())} // nothing is kept of another run
	one, two := create(t, salt), create(t, salt)
	for _, dir := range []string{one, two} {
		code, stdout, stderr := runIn(t, dir, "-trimpath")
		if code != 1 || stderr != "" {
			t.Errorf("exit code %d\n%s", code, stderr)
		}
		wantLines(t, stdout, all)
	}
	before, err := os.ReadFile(filepath.Join(one, "controller.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{two, one} {
		runIn(t, dir, "-trimpath", "-diff")
	}
	runIn(t, two, "-trimpath", "-fix")
	for dir, same := range map[string]bool{one: true, two: false} {
		after, err := os.ReadFile(filepath.Join(dir, "controller.go"))
		if err != nil {
			t.Fatal(err)
		}
		if string(after) == string(before) != same {
			t.Errorf("%s is the same: %t, want %t", dir, !same, same)
		}
	}
}
