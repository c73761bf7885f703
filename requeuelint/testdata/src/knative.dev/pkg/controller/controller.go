// Package controller stands in for the real one.
package controller

import "time"

type Impl struct{}

func (*Impl) EnqueueAfter(obj any, after time.Duration) {}

func NewRequeueAfter(dur time.Duration) error { return nil }
