package main

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// A view is a table of the rows of a measurement. It has a column for each part of their names
// and one for each key of their values.
type view struct {
	name   string   // follows that of the measurement in a marker
	titles []string // of the parts of a name
	keys   []string // nil: all
	only   string   // the first part of the names of the rows to show; "": all
	// across makes a column of each last part of the names, and a line of each key.
	across bool
	figure *figure // is drawn of the same rows
}

// of are the rows that it shows.
func (v view) of(rows []row) (shown []row) {
	for _, r := range rows {
		switch {
		case r.Of[0] == about:
		case v.only == "":
			shown = append(shown, r)
		case v.only == r.Of[0]:
			r.Of = r.Of[1:]
			shown = append(shown, r)
		}
	}
	return shown
}

// table shows rows in Markdown.
func (v view) table(rows []row) string {
	head := slices.Clone(v.titles)
	var cells [][]string
	if v.across {
		head, cells = v.acrossLast(rows)
	} else {
		for _, key := range v.keys {
			title, _ := titleOf(key)
			head = append(head, title)
		}
		for _, r := range rows {
			line := slices.Clone(r.Of)
			for _, key := range v.keys {
				line = append(line, r.cell(key))
			}
			cells = append(cells, line)
		}
	}
	var b strings.Builder
	b.WriteString("\n\n")
	for _, line := range slices.Concat([][]string{head, slices.Repeat([]string{"---"}, len(head))}, cells) {
		line = append(line, make([]string, len(head)-len(line))...)
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
	}
	b.WriteString("\n")
	return b.String()
}

func (v view) acrossLast(rows []row) (head []string, cells [][]string) {
	head = slices.Clone(v.titles)
	lines := map[string]int{} // by the names of their rows
	for _, r := range rows {
		name, last := r.Of[:len(r.Of)-1], r.Of[len(r.Of)-1]
		column := slices.Index(head, last)
		if column < 0 {
			column, head = len(head), append(head, last)
		}
		keys := v.keys
		if keys == nil {
			keys = r.keys()
		}
		for _, key := range keys {
			line := slices.Clone(name)
			if len(line) < len(v.titles) {
				title, _ := titleOf(key)
				line = append(line, title)
			}
			id := strings.Join(line, ";")
			if _, ok := lines[id]; !ok {
				lines[id], cells = len(cells), append(cells, line)
			}
			at := lines[id]
			cells[at] = append(cells[at], make([]string, column+1-len(cells[at]))...)
			cells[at][column] = r.cell(key)
		}
	}
	return head, cells
}

// keys are those of the values that are compared.
func (r row) keys() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.Values)), func(key string) bool {
		return key == "n" || strings.HasSuffix(key, timesOurs) || strings.HasSuffix(key, byChance)
	})
}

// cell is a value, with how many times ours it is, and the p, where it was compared.
func (r row) cell(key string) string {
	value, ok := r.Values[key]
	if !ok {
		return ""
	}
	_, unit := titleOf(key)
	text := amount(value, unit)
	if times, ok := r.Values[key+timesOurs]; ok {
		text += " (" + digits(times) + "×"
		if p, ok := r.Values[key+byChance]; ok {
			text += ", p " + strconv.FormatFloat(p, 'f', 3, 64)
		}
		text += ")"
	}
	return text
}

// titleOf splits a key such as "late p99 (s)" into a title and a unit.
func titleOf(key string) (title, unit string) {
	title, unit, _ = strings.Cut(key, " (")
	return title, strings.TrimSuffix(unit, ")")
}

// value is what a marker "measurement;part of a name;...;key" stands for. A part "*" stands for
// any, and the values of all rows that match are summed.
func (all results) value(marker string) (value string, ok bool) {
	parts := strings.Split(marker, ";")
	name, key := parts[1:len(parts)-1], parts[len(parts)-1]
	sum := 0.0
	for _, r := range all[parts[0]] {
		v, has := r.Values[key]
		if has && slices.EqualFunc(r.Of, name, func(of, want string) bool { return want == "*" || of == want }) {
			sum, ok = sum+v, true
		}
	}
	_, unit := titleOf(key)
	return amount(sum, unit), ok
}

// amount writes a value for a reader, to two or three digits.
func amount(value float64, unit string) string {
	if value == 0 {
		return "0"
	}
	if unit == "s" {
		for _, smaller := range []string{"s", "ms", "µs", "ns"} {
			if unit = smaller; math.Abs(value) >= 0.9995 || smaller == "ns" {
				break
			}
			value *= 1e3
		}
	}
	return strings.TrimSpace(digits(value) + " " + unit)
}

// digits writes 1234567 as 1,234,567 and 0.01234 as 0.012.
func digits(value float64) string {
	if math.Abs(value) < 99.5 { // two digits
		return strconv.FormatFloat(value, 'g', 2, 64)
	}
	whole := strconv.FormatFloat(value, 'f', 0, 64)
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return whole
}
