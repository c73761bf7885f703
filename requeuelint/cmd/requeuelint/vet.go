package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/requeue-go/requeue/requeuelint"
)

// A finding is what a rule reports, as it is printed with -json.
type finding struct {
	Rule      string `json:"rule"`
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	EndLine   int    `json:"endLine"`
	EndColumn int    `json:"endColumn"`
	Message   string `json:"message"`
	Fixable   bool   `json:"fixable"`

	edits []edit
}

// An edit replaces the bytes from Start to End of a file.
type edit struct {
	Start, End int
	New        string
}

// check finds what the rules report.
//
// The go command hands one package at a time to this program as its vet tool, together with
// what it has found out about the imports, and keeps the results in the build cache. The
// flags are the same each time, or nothing is found there: which rules to report is
// decided afterwards.
func check(o options, packages []listed, stderr io.Writer) ([]finding, error) {
	flags := []string{"-json", "-requeuelint", "-requeuelint.tests"}
	for _, r := range requeuelint.Rules() {
		flags = append(flags, "-"+strings.ToLower(r.Code))
	}
	out, err := vet(o, flags, stderr)
	findings, decodeErr := decode(out, packages)
	if decodeErr != nil {
		return nil, decodeErr
	}
	findings = slices.DeleteFunc(findings, func(f finding) bool {
		return !slices.Contains(o.rules, f.Rule) || !o.tests && strings.HasSuffix(f.File, "_test.go")
	})
	slices.SortFunc(findings, compare)
	// The same is found twice in a package and in it with its tests.
	return slices.CompactFunc(findings, func(a, b finding) bool { return compare(a, b) == 0 }), err
}

func compare(a, b finding) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Rule, b.Rule))
}

// fix has go vet apply the fixes, and returns the findings that have none; or a diff.
func fix(o options, findings []finding, stderr io.Writer) (left []finding, diff string, err error) {
	for _, f := range findings {
		if !f.Fixable {
			left = append(left, f)
		}
	}
	fixed := len(findings) - len(left)
	if fixed == 0 {
		return left, "", nil
	}
	flags := []string{"-fix", fmt.Sprint("-diff=", o.diff), fmt.Sprint("-requeuelint.tests=", o.tests)}
	for _, code := range o.rules {
		flags = append(flags, "-"+strings.ToLower(code))
	}
	out, err := vet(o, flags, stderr)
	if out != "" {
		// Packages come in any order, and for the go command it is an error that they do.
		files := strings.Split("\n"+strings.TrimSuffix(out, "\n"), "\n--- ")
		slices.Sort(files)
		return nil, strings.Join(files, "\n--- ")[1:] + "\n", nil
	}
	if err == nil {
		fmt.Fprintf(stderr, "requeuelint: fixed %d of %d; it may take: go get github.com/requeue-go/requeue\n", fixed, len(findings))
	}
	return left, "", err
}

// A listed package is what go list says of one.
type listed struct {
	Dir, ImportPath, Name                        string
	Module                                       struct{ Main bool }
	GoFiles, CgoFiles, TestGoFiles, XTestGoFiles []string
}

// list lists the packages. If there are none, go vet says why.
func list(o options) (packages []listed, err error) {
	args := []string{"list", "-e", "-find", "-json=Dir,ImportPath,Name,Module,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles"}
	out, err := exec.Command("go", slices.Concat(args, o.build, o.packages)...).Output()
	if err != nil {
		return nil, nil
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			return nil, fmt.Errorf("read the output of go list: %w", err)
		}
		packages = append(packages, p)
	}
	return packages, nil
}

// hideTests keeps the go command from loading test files, which go vet does always, though
// one may import what cannot be had: in an overlay, which is written to a directory, they
// are not there.
func hideTests(o *options, packages []listed, dir string) error {
	replace := map[string]string{}
	for _, p := range packages {
		if !p.Module.Main {
			continue // nothing in the module cache can be replaced
		}
		by := ""
		if len(p.GoFiles)+len(p.CgoFiles) == 0 { // a package without files is an error
			by = filepath.Join(dir, p.Name+"_test.go")
			if err := os.WriteFile(by, []byte("package "+p.Name+"\n"), 0o600); err != nil {
				return err
			}
		}
		for _, name := range append(p.TestGoFiles, p.XTestGoFiles...) {
			replace[filepath.Join(p.Dir, name)] = by
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "overlay.json")
	o.build = append([]string{"-overlay=" + file}, o.build...)
	return os.WriteFile(file, overlay, 0o600)
}

// here returns the path of a file of a package where the package is. With -trimpath the go
// command takes it for the same in any directory, and prints what it has kept of another one.
func here(file, pkg string, packages []listed) string {
	pkg, _, _ = strings.Cut(pkg, " [") // with its tests
	for _, p := range packages {
		if pkg != p.ImportPath && pkg != p.ImportPath+"_test" {
			continue
		}
		moved := filepath.Join(p.Dir, filepath.Base(file))
		if _, err := os.Stat(moved); err == nil {
			return moved
		}
	}
	return file
}

// Go 1.25 prints the JSON of vet tools to standard error, below comments.
var olderJSON = regexp.MustCompile(`(?ms)^(?:# [^\n]*\n)+(\{\}|\{\n.*?^\})\n`)

// vet runs go vet, passes on what it says, and returns what the tool prints.
func vet(o options, flags []string, stderr io.Writer) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", slices.Concat([]string{"vet", "-vettool=" + self}, flags, o.sinks, o.build, o.packages)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	stop := explainWaiting(stderr)
	err = cmd.Run()
	stop()

	for _, match := range olderJSON.FindAllSubmatch(said.Bytes(), -1) {
		out.Write(match[1])
	}
	rest := olderJSON.ReplaceAllString(said.String(), "")
	if strings.Contains(rest, "flag provided but not defined: -fix") {
		return "", errors.New("-fix and -diff need the go command of Go 1.26 or later, whose go vet has them")
	}
	fmt.Fprint(stderr, rest)
	return out.String(), err
}

// explainWaiting says why it takes so long, if it does.
func explainWaiting(w io.Writer) (stop func() bool) {
	return time.AfterFunc(5*time.Second, func() {
		fmt.Fprintln(w, "requeuelint: the go command is compiling the dependencies; the first run takes minutes, later ones seconds")
	}).Stop
}

// decode reads the JSON that go vet prints: for each package what each analyzer reports, or
// how it failed.
func decode(text string, packages []listed) (findings []finding, err error) {
	for d := json.NewDecoder(strings.NewReader(text)); d.More(); {
		var found map[string]map[string]json.RawMessage
		if err := d.Decode(&found); err != nil {
			return nil, fmt.Errorf("read the output of go vet: %w", err)
		}
		for pkg, analyzers := range found {
			// In order, as that which the others need comes first.
			for _, name := range slices.Sorted(maps.Keys(analyzers)) {
				var reports []struct {
					Posn, End, Message string
					SuggestedFixes     []struct{ Edits []edit } `json:"suggested_fixes"`
				}
				if err := json.Unmarshal(analyzers[name], &reports); err != nil {
					return nil, fmt.Errorf("%s: %s: %s", pkg, name, analyzers[name])
				}
				for _, r := range reports {
					f := finding{Rule: strings.ToUpper(name), Fixable: len(r.SuggestedFixes) > 0}
					f.Message = strings.TrimPrefix(r.Message, f.Rule+": ")
					f.File, f.Line, f.Column = position(r.Posn)
					f.File = here(f.File, pkg, packages)
					_, f.EndLine, f.EndColumn = position(cmp.Or(r.End, r.Posn))
					if f.Fixable {
						f.edits = r.SuggestedFixes[0].Edits
					}
					findings = append(findings, f)
				}
			}
		}
	}
	return findings, nil
}

var filePosition = regexp.MustCompile(`^(.*?)(?::(\d+))?(?::(\d+))?$`)

// position reads file:line:column.
func position(s string) (file string, line, column int) {
	parts := filePosition.FindStringSubmatch(s)
	line, _ = strconv.Atoi(parts[2])
	column, _ = strconv.Atoi(parts[3])
	return parts[1], line, column
}
