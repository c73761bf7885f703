package main

import (
	"os/exec"
	"slices"
	"strings"
)

// demo is what examples/promotion printed.
type demo struct{ Output string }

func measureDemo(m *measuring) demo {
	cmd := exec.CommandContext(m.Context(), "go", "run", "./examples/promotion")
	cmd.Dir = cloneRoot()
	output, err := cmd.Output()
	if err != nil {
		m.Fatalf("%v: %v", cmd, err)
	}
	return demo{string(output)}
}

// show leaves out all but two of the promotions, each with both controllers.
func (d demo) show() shown {
	var b strings.Builder
	b.WriteString("\n\n```\n")
	var names []string
	for line := range strings.Lines(d.Output) {
		if fields := strings.Fields(line); strings.HasSuffix(line, " late\n") && len(fields) > 2 {
			if name := fields[1]; len(names) < 2 && !slices.Contains(names, name) {
				names = append(names, name)
			}
			if !slices.Contains(names, fields[1]) {
				continue
			}
		}
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	b.WriteString("```\n\n")
	return shown{values: map[string]string{"output": b.String()}}
}
