package main

import (
	"fmt"
	"go/format"
	"io"
	"os"
	"slices"
)

// fix applies the fixes of findings, and returns those that it leaves: that have none, or
// one that would change what another has changed.
func fix(findings []finding, stderr io.Writer) (left []finding, err error) {
	files := map[string][]edit{}
	fixed := 0
	for _, f := range findings {
		if len(f.edits) == 0 || !fits(files, f.edits) {
			left = append(left, f)
			continue
		}
		fixed++
		for _, e := range f.edits {
			if !slices.Contains(files[e.Filename], e) {
				files[e.Filename] = append(files[e.Filename], e)
			}
		}
	}
	for name, edits := range files {
		if err := apply(name, edits); err != nil {
			return nil, err
		}
	}
	if fixed > 0 {
		fmt.Fprintf(stderr, "requeuelint: fixed %d of %d in %d files; they may need: go get github.com/requeue-go/requeue\n", fixed, len(findings), len(files))
	}
	return left, nil
}

// fits reports whether edits overlap none that are there, other than those that are the
// same: two fixes add the same import.
func fits(files map[string][]edit, edits []edit) bool {
	for _, e := range edits {
		for _, other := range files[e.Filename] {
			if e != other && e.Start < other.End && other.Start < e.End {
				return false
			}
		}
	}
	return true
}

func apply(name string, edits []edit) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	slices.SortFunc(edits, func(a, b edit) int { return b.Start - a.Start })
	for _, e := range edits {
		if e.Start < 0 || e.End > len(text) || e.Start > e.End {
			return fmt.Errorf("%s has changed since it was checked", name)
		}
		text = slices.Concat(text[:e.Start], []byte(e.New), text[e.End:])
	}
	text, err = format.Source(text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, text, info.Mode().Perm())
}
