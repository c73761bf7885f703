package golangci_test

import (
	"fmt"
	"testing"

	"github.com/golangci/plugin-module-register/register"

	"github.com/requeue-go/requeue/requeuelint"
	"github.com/requeue-go/requeue/requeuelint/golangci"
)

// golangci-lint finds the plugin by its name and hands it the settings of its YAML file.
func Example() {
	newPlugin, err := register.GetPlugin(golangci.Name)
	if err != nil {
		panic(err)
	}
	plugin, err := newPlugin(map[string]any{"disable": []string{"RQ005", "RQ006", "RQ007"}})
	if err != nil {
		panic(err)
	}
	analyzers, err := plugin.BuildAnalyzers()
	if err != nil {
		panic(err)
	}
	for _, a := range analyzers {
		fmt.Println(a.Name)
	}
	// Output:
	// rq001
	// rq002
	// rq003
	// rq004
}

func TestNew_settings(t *testing.T) {
	for name, tt := range map[string]struct {
		settings any
		want     int // analyzers
		wantErr  string
	}{
		"no settings are all rules":        {nil, 7, ""},
		"rules are those and no other":     {map[string]any{"rules": []string{"RQ001", "RQ003"}}, 2, ""},
		"disable takes from rules":         {map[string]any{"rules": []string{"RQ001", "RQ003"}, "disable": []string{"RQ003"}}, 1, ""},
		"a rule that there is not":         {map[string]any{"disable": []string{"RQ999"}}, 0, `requeuelint: there is no rule "RQ999"`},
		"a setting that there is not":      {map[string]any{"rule": "RQ001"}, 0, `requeuelint: decoding settings: json: unknown field "rule"`},
		"tests reports in test files, too": {map[string]any{"tests": true}, 7, ""},
	} {
		t.Run(name, func(t *testing.T) {
			plugin, err := golangci.New(tt.settings)
			if tt.wantErr != "" {
				if err == nil || err.Error() != tt.wantErr {
					t.Fatalf("got error %v, want %s", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if plugin.GetLoadMode() != register.LoadModeTypesInfo {
				t.Error("the rules need types")
			}
			analyzers, err := plugin.BuildAnalyzers()
			if err != nil || len(analyzers) != tt.want {
				t.Errorf("got %d analyzers and error %v, want %d", len(analyzers), err, tt.want)
			}
			flag := requeuelint.Base().Flags.Lookup("tests")
			if flag.Value.String() == "true" != (name == "tests reports in test files, too") {
				t.Errorf("tests is %s", flag.Value)
			}
			if err := flag.Value.Set("false"); err != nil {
				t.Fatal(err)
			}
		})
	}
}
