package requeuelint

import (
	"slices"

	"golang.org/x/tools/go/ssa"

	"github.com/requeue-go/requeue/requeuelint/internal/flow"
)

// A wait is one that can be 0 or negative, where it is handed to a queue.
type wait struct {
	*flow.Sink
	flow.Verdict
}

// waits are the waits of the package that can be 0 or negative, each once.
func (s *shared) waits() []wait {
	if s.judged != nil {
		return s.judged
	}
	s.judged = []wait{}
	for _, fn := range s.flow.Funcs {
		if s.skipped(fn.Pos()) {
			continue
		}
		for _, sink := range s.flow.Sinks(fn) {
			if sink.RequeuesToo() || sink.Family == flow.Drops && sink.Origin.Fn() != nil && s.flow.IsRaised(sink.Origin.Fn()) || sink.Family == flow.Loops && (s.flow.HandlesEvent(fn) || sink.Origin.Fn() != nil && s.flow.HandlesEvent(sink.Origin.Fn())) {
				continue
			}
			for _, v := range s.flow.Judge(sink) {
				if v.Why != flow.Fine && !s.flow.Leaves(sink, v) && !s.comesBack(sink, v) {
					s.judge(wait{sink, v})
				}
			}
		}
	}
	return s.judged
}

// judge keeps the worst that is known of a place: a deadline that nothing tests is worse
// than one that is tested on another reading of the clock.
func (s *shared) judge(w wait) {
	i := slices.IndexFunc(s.judged, func(x wait) bool { return x.Origin == w.Origin && (w.Origin.Instr != nil || x.At == w.At) })
	switch {
	case i < 0:
		s.judged = append(s.judged, w)
	case s.judged[i].Stale && !w.Stale:
		s.judged[i] = w
	}
}

// comesBack reports whether what is added at once is looked at again and found expired, or
// is meant so: the deadline is tested, by the function or by another of the package.
func (s *shared) comesBack(sink *flow.Sink, v flow.Verdict) bool {
	if sink.Family != flow.Loops {
		return false
	}
	if v.Stale || v.Why == flow.Zeroed {
		return true
	}
	if v.Why != flow.TimeLeft {
		return false
	}
	waited := sink.Wait.Sources()
	if waited == nil {
		waited = v.Sum.Sources()
	}
	if waited == nil {
		return true
	}
	return slices.ContainsFunc(s.flow.Deadlines(), func(d []string) bool {
		return !slices.ContainsFunc(waited, func(source string) bool { return !slices.Contains(d, source) })
	})
}

// slow reports whether something that takes time lies between the test of a deadline and
// the reading of the clock that the wait is computed from: a call that takes a context or
// returns an error. If so the deadline can pass as well without two readings.
func (w wait) slow() bool {
	var from ssa.Instruction
	switch {
	case w.From != nil && w.From.Call() != nil:
		from = w.From.Call()
	case w.Check != nil:
		from = w.Check.At
	}
	now, ok := w.Sum.Clock(-1)
	if from == nil || !ok || now.Call() == nil {
		return false
	}
	until := ssa.Instruction(now.Call())
	if until.Parent() != from.Parent() || until == from {
		return false
	}
	for call := range flow.Calls(until.Parent()) {
		if call != until && call != from && flow.Precedes(from, call) && flow.Precedes(call, until) && flow.TakesTime(call) {
			return true
		}
	}
	return false
}

// nothing settles nothing: all cases of a wait are looked at.
func nothing(flow.Sum, flow.Known) bool { return false }
