// Package event stands in for the real one.
package event

type UpdateEvent struct{ Name string }
