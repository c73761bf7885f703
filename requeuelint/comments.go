package requeuelint

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
)

// skipped reports whether nothing is reported at a position: in generated files, and in
// test files unless they are asked for.
func (s *shared) skipped(pos token.Pos) bool {
	if !withTests && s.inTest(pos) {
		return true
	}
	return s.generated(pos)
}

func (s *shared) generated(pos token.Pos) bool {
	file := s.file(pos)
	return file == nil || ast.IsGenerated(file)
}

// file returns the file of the package that has a position.
func (s *shared) file(pos token.Pos) *ast.File {
	for _, f := range s.pass.Files {
		if f.FileStart <= pos && pos <= f.FileEnd {
			return f
		}
	}
	return nil
}

var (
	noLint = regexp.MustCompile(`^//\s*nolint(?::\s*([\w\-]+(?:\s*,\s*[\w\-]+)*))?(?:\s|$)`)
	okay   = regexp.MustCompile(`^//\s*requeue:ok\s+\S`)
)

// accepts reports whether a comment accepts what is found on its line: nolint for this
// linter, all or a rule, as golangci-lint reads it, or requeue:ok with a reason.
func accepts(text, rule string) bool {
	if okay.MatchString(text) {
		return true
	}
	m := noLint.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	if m[1] == "" {
		return true
	}
	for name := range strings.SplitSeq(m[1], ",") {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "requeuelint", "all", strings.ToLower(rule):
			return true
		}
	}
	return false
}

// accepted reports whether a comment on the line of a finding, or alone on the line above
// it, accepts it; and tells of one that would, had it a reason.
func (s *shared) accepted(pos token.Pos, rule string) (ok bool, note string) {
	file := s.file(pos)
	line := s.pass.Fset.Position(pos).Line
	for _, group := range file.Comments {
		for _, c := range group.List {
			at := s.pass.Fset.Position(c.Pos()).Line
			if at != line && (at != line-1 || !s.alone(file, c)) {
				continue
			}
			if accepts(c.Text, rule) {
				return true, ""
			}
			if okay.MatchString(c.Text + " reason") {
				note = "; requeue:ok has no effect without a reason behind it"
			}
		}
	}
	return false, note
}

// alone reports whether nothing but a comment is on its line.
func (s *shared) alone(file *ast.File, c *ast.Comment) bool {
	source, err := s.pass.ReadFile(s.pass.Fset.File(file.FileStart).Name())
	if err != nil {
		return true
	}
	tf := s.pass.Fset.File(c.Pos())
	start := tf.Offset(tf.LineStart(tf.Line(c.Pos())))
	end := tf.Offset(c.Pos())
	return end <= len(source) && strings.TrimSpace(string(source[start:end])) == ""
}
