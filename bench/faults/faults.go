// Package faults is a placeholder.
package faults

// Child runs what this process was started for, if it was.
func Child() bool { return false }
