package requeuelint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/requeue-go/requeue/requeuelint"
)

// The analyzers are for any driver of golang.org/x/tools/go/analysis.
func Example() {
	for _, a := range requeuelint.Analyzers("RQ001", "RQ003") {
		fmt.Println(a.Name+":", a.Doc)
	}
	// Output:
	// rq001: report a wait that can be zero or negative, which controller-runtime drops and client-go takes for now
	// rq003: report a deadline that is tested on one reading of the clock and waited for on another
}

func TestAnalyzers_valid(t *testing.T) {
	if err := analysis.Validate(append(requeuelint.Analyzers(), requeuelint.Base())); err != nil {
		t.Fatal(err)
	}
}

// Every shape of a real site has its verdict. One site has one finding at most.
func TestSites(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), everything(), "sites")
}

// Of every rule, what it reports and what it does not.
func TestRules(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), everything(),
		"rq001", "rq002", "rq003", "rq004", "rq005", "rq006", "rq007", "rq009", "rq011", "docs")
	analysistest.Run(t, analysistest.TestData(), requeuelint.Analyzers("RQ010")[0], "rq010")
}

// Each rule has a page, testdata, and messages that name a cause, a consequence and a remedy.
func TestRules_areWhole(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "lint.md"))
	if err != nil {
		t.Fatal(err)
	}
	var codes, packages []string
	for _, r := range requeuelint.Rules() {
		codes, packages = append(codes, r.Code), append(packages, strings.ToLower(r.Code))
	}
	found := map[string][]string{}
	for _, res := range analysistest.Run(silent{}, analysistest.TestData(), everything(codes...), packages...) {
		for _, d := range res.Diagnostics {
			found[d.Category] = append(found[d.Category], d.Message)
		}
	}
	for i, code := range codes {
		for _, want := range []string{"\n## " + code + "\n", "\n| [" + code + "](#" + packages[i] + ") |"} {
			if !strings.Contains(string(page), want) {
				t.Errorf("docs/lint.md has no %q", strings.TrimSpace(want))
			}
		}
		if len(found[code]) == 0 {
			t.Errorf("testdata has nothing that %s reports", code)
		}
		shape := regexp.MustCompile(`^` + code + `: [^;]+: [^;]+; .+ \(https://\S+#` + packages[i] + `\)$`)
		for _, m := range found[code] {
			if !shape.MatchString(m) {
				t.Errorf("not code: cause: consequence; remedy (link):\n%s", m)
			}
		}
	}
}

// silent is not told of findings that no // want expects: RQ010 is advice.
type silent struct{}

func (silent) Errorf(string, ...any) {}

func TestComments(t *testing.T) {
	analysistest.Run(t, analysistest.TestData(), everything(), "comments")
}

func TestFlagTests(t *testing.T) {
	flag := requeuelint.Base().Flags.Lookup("tests")
	if err := flag.Value.Set("true"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = flag.Value.Set("false") }()
	analysistest.Run(t, analysistest.TestData(), everything(), "intests")
}

func TestFixes(t *testing.T) {
	analysistest.RunWithSuggestedFixes(t, analysistest.TestData(), everything(), "fixes")
}

// What the fixes make of the code compiles, and nothing of it is found again.
func TestFixes_compile(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(analysistest.TestData())); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "src", "fixes", "fixes.go")
	golden, err := os.ReadFile(file + ".golden")
	if err != nil {
		t.Fatal(err)
	}
	fixed, unfixed, ok := strings.Cut(string(golden), "// Without a fix")
	if !ok {
		t.Fatal("nothing is without a fix")
	}
	wanted := regexp.MustCompile(`// want .*`)
	if err := os.WriteFile(file, []byte(wanted.ReplaceAllString(fixed, "")+"// Without a fix"+unfixed), 0o644); err != nil {
		t.Fatal(err)
	}
	analysistest.Run(t, dir, everything(), "fixes") // fails if it does not compile
}

// everything returns an analyzer that reports what those of all rules report, or of those
// with the codes, so that a test
// sees a finding of another rule than the one that it is about.
func everything(codes ...string) *analysis.Analyzer {
	all := requeuelint.Analyzers(codes...)
	return &analysis.Analyzer{
		Name: "all", Doc: "runs all rules", Requires: append(all, requeuelint.Base()),
		Run: func(pass *analysis.Pass) (any, error) {
			for _, a := range all {
				if _, err := a.Run(pass); err != nil {
					return nil, err
				}
			}
			return nil, nil
		},
	}
}
