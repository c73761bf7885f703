// Package v1 stands in for the real one.
package v1

import "time"

type Time struct{ time.Time }

func NewTime(t time.Time) Time { return Time{t} }

func Now() Time { return NewTime(time.Now()) }

func (t *Time) IsZero() bool { return t == nil || t.Time.IsZero() }

func (t *Time) Before(u *Time) bool { return t != nil && u != nil && t.Time.Before(u.Time) }

type Duration struct{ time.Duration }
