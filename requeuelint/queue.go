package requeuelint

import (
	"fmt"
	"go/token"
	"go/types"
	"sort"
	"strings"
)

// A queueFact says what a package has to do with deadlinequeue.
type queueFact struct {
	Uses string // where it makes a result, if it does
	Sets bool   // it makes a queue
}

// AFact marks a queueFact as a fact of the analysis.
func (*queueFact) AFact() {}

func (f *queueFact) String() string { return fmt.Sprintf("queue(%s,%t)", f.Uses, f.Sets) }

// queues notes the use of deadlinequeue, and reports RQ008 in package main if the program
// makes results for a queue that it never makes.
func (p *program) queues() {
	var own queueFact
	var at token.Pos
	for id, obj := range p.pass.TypesInfo.Uses {
		fn, ok := obj.(*types.Func)
		if !ok || fn.Pkg() == nil || pkgPath(fn.Pkg()) != queuePath || p.inTest(id.Pos()) {
			continue
		}
		switch fn.Name() {
		case "Result", "Failed":
			if fn.Signature().Recv() == nil && (at == 0 || id.Pos() < at) {
				at = id.Pos()
			}
		case "New", "NewQueue":
			own.Sets = true
		}
	}
	if at != 0 {
		own.Uses = p.pass.Fset.Position(at).String()
	}
	if own.Sets || own.Uses != "" {
		p.pass.ExportPackageFact(&own)
	}
	if p.pass.Pkg.Name() != "main" {
		return
	}
	var users []string
	sets := own.Sets
	for _, f := range p.pass.AllPackageFacts() {
		q, ok := f.Fact.(*queueFact)
		if !ok {
			continue
		}
		sets = sets || q.Sets
		if q.Uses != "" && f.Package != p.pass.Pkg {
			users = append(users, f.Package.Path())
		}
	}
	if sets || at == 0 && len(users) == 0 {
		return
	}
	sort.Strings(users)
	where := "this package"
	if at == 0 {
		where = strings.Join(users, ", ")
		for _, file := range p.pass.Files {
			if !p.inTest(file.Pos()) {
				at = file.Name.Pos()
				break
			}
		}
	}
	if at != 0 {
		p.report(finding{rule: "RQ008", pos: at, end: at,
			message: fmt.Sprintf("deadlinequeue.Result is used (%s), but this program never sets controller.Options.NewQueue: a stock queue takes the deadlines for priorities; use deadlinequeue.NewQueue", where)})
	}
}
