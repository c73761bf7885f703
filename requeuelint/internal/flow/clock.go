package flow

import (
	"strings"

	"golang.org/x/tools/go/ssa"
)

// IsClock reports whether a call reads a clock: time.Now, metav1.Now, or a method or a
// function variable of such a name that takes nothing and returns a time.
func IsClock(call *ssa.Call) bool {
	if !IsTime(call.Type()) {
		return false
	}
	common := call.Call
	switch {
	case common.IsInvoke():
		return common.Method.Name() == "Now" && len(common.Args) == 0
	case common.StaticCallee() != nil:
		fn := common.StaticCallee()
		return fn.Signature.Params().Len() == 0 && nowName.MatchString(fn.Name())
	case common.Signature().Params().Len() != 0:
		return false
	}
	name := variable(common.Value)
	return nowName.MatchString(name) || strings.EqualFold(name, "clock")
}

// variable returns the name of the variable that a value was read from.
func variable(v ssa.Value) string {
	if load, ok := v.(*ssa.UnOp); ok {
		switch a := load.X.(type) {
		case *ssa.FieldAddr:
			return FieldVar(a.X.Type(), a.Field).Name()
		case *ssa.Global:
			return a.Name()
		case *ssa.FreeVar:
			return a.Name()
		}
	}
	switch v := v.(type) {
	case *ssa.Field:
		return FieldVar(v.X.Type(), v.Field).Name()
	case *ssa.Parameter:
		return v.Name()
	case *ssa.FreeVar:
		return v.Name()
	}
	return ""
}

// SinceOrUntil tells time.Since(t), time.Until(t) and the methods of a clock of these names.
func SinceOrUntil(call *ssa.Call) (name string, at ssa.Value, ok bool) {
	if !IsDuration(call.Type()) {
		return "", nil, false
	}
	if call.Call.IsInvoke() {
		name = call.Call.Method.Name()
	} else if fn := call.Call.StaticCallee(); fn != nil {
		name = fn.Name()
	}
	params := call.Call.Signature().Params()
	if name != "Since" && name != "Until" || params.Len() != 1 || !IsTime(params.At(0).Type()) {
		return "", nil, false
	}
	return name, call.Call.Args[len(call.Call.Args)-1], true
}

// sameTime returns the argument of a call whose result is the same instant.
func sameTime(call *ssa.Call) ssa.Value {
	fn := call.Call.StaticCallee()
	if fn == nil || len(call.Call.Args) == 0 {
		return nil
	}
	switch FullName(fn) {
	case "time.Time.UTC", "time.Time.Local", "time.Time.In", "time.Time.Round", "time.Time.Truncate",
		metaPath + ".NewTime", metaPath + ".NewMicroTime", metaPath + ".Time.DeepCopy", metaPath + ".Time.Rfc3339Copy":
		return call.Call.Args[0]
	}
	return nil
}

// inUnits returns the time or the span that a call gives as a number, and how many of the
// units are a nanosecond.
func inUnits(name string) (perNanosecond float64, ok bool) {
	switch name {
	case "time.Duration.Nanoseconds", "time.Time.UnixNano":
		return 1, true
	case "time.Duration.Microseconds", "time.Time.UnixMicro":
		return 1e-3, true
	case "time.Duration.Milliseconds", "time.Time.UnixMilli":
		return 1e-6, true
	case "time.Duration.Seconds", "time.Time.Unix":
		return 1e-9, true
	case "time.Duration.Minutes":
		return 1. / 60e9, true
	case "time.Duration.Hours":
		return 1. / 3600e9, true
	}
	return 0, false
}
