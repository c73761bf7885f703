package main

import (
	"encoding/json"
	"net/url"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/requeue-go/requeue/requeuelint"
)

// The parts of a SARIF 2.1.0 log that are used here.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool                `json:"tool"`
		Bases   map[string]sarifArtifact `json:"originalUriBaseIds"`
		Results []sarifResult            `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		URI     string      `json:"informationUri"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID    string    `json:"id"`
		Short sarifText `json:"shortDescription"`
		Help  string    `json:"helpUri"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
		Fixes     []sarifFix      `json:"fixes,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI  string `json:"uri"`
		Base string `json:"uriBaseId,omitempty"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndLine     int `json:"endLine"`
		EndColumn   int `json:"endColumn"`
	}
	sarifFix struct {
		Description sarifText     `json:"description"`
		Changes     []sarifChange `json:"artifactChanges"`
	}
	sarifChange struct {
		Artifact     sarifArtifact      `json:"artifactLocation"`
		Replacements []sarifReplacement `json:"replacements"`
	}
	sarifReplacement struct {
		Deleted  sarifBytes `json:"deletedRegion"`
		Inserted sarifText  `json:"insertedContent"`
	}
	sarifBytes struct {
		Offset int `json:"byteOffset"`
		Length int `json:"byteLength"`
	}
)

const sourceRoot = "%SRCROOT%"

// sarif writes findings as a SARIF log, with files as they lie below a directory.
func sarif(findings []finding, dir string) ([]byte, error) {
	driver := sarifDriver{Name: "requeuelint", URI: "https://github.com/requeue-go/requeue/blob/main/docs/lint.md"}
	if info, ok := debug.ReadBuildInfo(); ok {
		driver.Version = info.Main.Version
	}
	rules := requeuelint.Rules()
	for _, r := range rules {
		driver.Rules = append(driver.Rules, sarifRule{r.Code, sarifText{r.Doc}, r.URL()})
	}
	root := url.URL{Scheme: "file", Path: filepath.ToSlash(dir) + "/"}
	run := sarifRun{
		Tool:    sarifTool{driver},
		Bases:   map[string]sarifArtifact{sourceRoot: {URI: root.String()}},
		Results: []sarifResult{},
	}
	for _, f := range findings {
		result := sarifResult{
			RuleID:    f.Rule,
			RuleIndex: slices.IndexFunc(rules, func(r requeuelint.Rule) bool { return r.Code == f.Rule }),
			Level:     "warning",
			Message:   sarifText{f.Message},
			Locations: []sarifLocation{{sarifPhysical{artifact(dir, f.File), sarifRegion{f.Line, f.Column, f.EndLine, f.EndColumn}}}},
		}
		if len(f.edits) > 0 {
			change := sarifChange{Artifact: artifact(dir, f.edits[0].Filename)}
			for _, e := range f.edits {
				change.Replacements = append(change.Replacements, sarifReplacement{sarifBytes{e.Start, e.End - e.Start}, sarifText{e.New}})
			}
			result.Fixes = []sarifFix{{sarifText{"use requeue"}, []sarifChange{change}}}
		}
		run.Results = append(run.Results, result)
	}
	log, err := json.MarshalIndent(sarifLog{
		Schema:  "https://json.schemastore.org/sarif-2.1.0.json",
		Version: "2.1.0",
		Runs:    []sarifRun{run},
	}, "", "\t")
	return append(log, '\n'), err
}

func artifact(dir, file string) sarifArtifact {
	rel := relative(dir, file)
	if rel == file {
		u := url.URL{Scheme: "file", Path: filepath.ToSlash(file)}
		return sarifArtifact{URI: u.String()}
	}
	u := url.URL{Path: filepath.ToSlash(rel)}
	return sarifArtifact{URI: u.String(), Base: sourceRoot}
}
