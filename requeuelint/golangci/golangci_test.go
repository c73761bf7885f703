package golangci_test

import (
	"fmt"
	"strings"
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
	plugin, err := newPlugin(map[string]any{"rules": []string{"RQ001", "RQ002", "RQ003"}, "disable": []string{"RQ002"}})
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
	// rq003
}

func TestNew_settings(t *testing.T) {
	usual := len(requeuelint.Analyzers())
	for name, tt := range map[string]struct {
		settings  any
		want      int // analyzers
		wantTests string
		wantErr   string // its beginning
	}{
		"no settings are the usual rules":     {nil, usual, "false", ""},
		"empty settings are the usual rules":  {map[string]any{"rules": []string{}, "disable": []string{}, "sinks": []string{}}, usual, "false", ""},
		"rules are those and no other":        {map[string]any{"rules": []string{"RQ001", "rq003"}}, 2, "false", ""},
		"disable takes from rules":            {map[string]any{"rules": []string{"RQ001", "RQ003"}, "disable": []string{"rq003"}}, 1, "false", ""},
		"disable takes from the usual":        {map[string]any{"disable": []string{"RQ001"}}, usual - 1, "false", ""},
		"tests reports in test files, too":    {map[string]any{"tests": true}, usual, "true", ""},
		"sinks":                               {map[string]any{"sinks": []string{"example.com/operator.Queue.Add:1"}}, usual, "false", ""},
		"a rule that there is not":            {map[string]any{"rules": []string{"RQ999"}}, 0, "", `requeuelint: there is no rule "RQ999"`},
		"a rule to disable that there is not": {map[string]any{"disable": []string{"RQ999"}}, 0, "", `requeuelint: there is no rule "RQ999"`},
		"a sink that is none":                 {map[string]any{"sinks": []string{"Queue"}}, 0, "", "requeuelint: sinks: "},
		"a setting that there is not":         {map[string]any{"rule": "RQ001"}, 0, "", `requeuelint: decoding settings: json: unknown field "rule"`},
		"a setting of another type":           {map[string]any{"tests": "yes"}, 0, "", "requeuelint: decoding settings: json: cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			plugin, err := golangci.New(tt.settings)
			if tt.wantErr != "" {
				if err == nil || !strings.HasPrefix(err.Error(), tt.wantErr) {
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
			if tests := requeuelint.Base().Flags.Lookup("tests").Value.String(); tests != tt.wantTests {
				t.Errorf("tests is %s, want %s", tests, tt.wantTests)
			}
		})
	}
}
