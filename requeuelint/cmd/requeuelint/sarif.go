package main

import (
	"net/url"
	"path/filepath"
	"slices"

	"github.com/requeue-go/requeue/requeuelint"
)

type object = map[string]any

const sourceRoot = "%SRCROOT%"

// sarif makes a SARIF 2.1.0 log of findings, with files as they lie below a directory.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
func sarif(findings []finding, dir string) object {
	rules, results := []object{}, []object{}
	for _, r := range requeuelint.Rules() {
		rules = append(rules, object{"id": r.Code, "shortDescription": object{"text": r.Doc}, "helpUri": r.URL()})
	}
	for _, f := range findings {
		result := object{
			"ruleId":    f.Rule,
			"ruleIndex": slices.IndexFunc(requeuelint.Rules(), func(r requeuelint.Rule) bool { return r.Code == f.Rule }),
			"level":     "warning",
			"message":   object{"text": f.Message},
			"locations": []object{{"physicalLocation": object{
				"artifactLocation": artifact(dir, f.File),
				"region":           object{"startLine": f.Line, "startColumn": f.Column, "endLine": f.EndLine, "endColumn": f.EndColumn},
			}}},
		}
		if f.Fixable {
			replacements := []object{}
			for _, e := range f.edits {
				replacements = append(replacements, object{
					"deletedRegion":   object{"byteOffset": e.Start, "byteLength": e.End - e.Start},
					"insertedContent": object{"text": e.New},
				})
			}
			result["fixes"] = []object{{
				"description":     object{"text": "use requeue"},
				"artifactChanges": []object{{"artifactLocation": artifact(dir, f.File), "replacements": replacements}},
			}}
		}
		results = append(results, result)
	}
	root := url.URL{Scheme: "file", Path: filepath.ToSlash(dir) + "/"}
	return object{
		"$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"version": "2.1.0",
		"runs": []object{{
			"tool": object{"driver": object{
				"name":           "requeuelint",
				"version":        version(),
				"informationUri": "https://github.com/requeue-go/requeue/blob/main/docs/lint.md",
				"rules":          rules,
			}},
			"originalUriBaseIds": object{sourceRoot: object{"uri": root.String()}},
			"results":            results,
		}},
	}
}

func artifact(dir, file string) object {
	if rel := relative(dir, file); rel != file {
		return object{"uri": (&url.URL{Path: filepath.ToSlash(rel)}).String(), "uriBaseId": sourceRoot}
	}
	return object{"uri": (&url.URL{Scheme: "file", Path: filepath.ToSlash(file)}).String()}
}
