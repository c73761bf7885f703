package main

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/util/workqueue"

	"github.com/requeue-go/requeue"
)

// handled is an object with two deadlines, such as a pipeline's timeout and one of its
// tasks. The first has passed and been acted on, and still stands in the object; what
// happens until the second?
type handled []handledWay

type handledWay struct {
	Name       string
	Reconciles int // from the first deadline to the second
	Lost       bool
	Late       float64 // seconds
}

const (
	firstTimeout, secondTimeout = 10 * time.Minute, time.Hour
	handledTakes                = 50 * time.Millisecond
)

var handledWays = []struct {
	name     string
	clientGo bool
	wait     func(start time.Time, handled bool) time.Duration
}{
	{"by hand, client-go's `AddAfter`", true, soonerByHand},
	{"by hand, controller-runtime's `RequeueAfter`", false, soonerByHand},
	{"`Timeout` and `Timeout`", false, func(start time.Time, _ bool) time.Duration {
		return requeue.From(time.Now()).Timeout(start, firstTimeout).Timeout(start, secondTimeout).After()
	}},
	{"`Timeout`, and the first until it was handled", false, func(start time.Time, handled bool) time.Duration {
		plan := requeue.From(time.Now()).Timeout(start, secondTimeout)
		if !handled {
			plan = plan.Timeout(start, firstTimeout)
		}
		return plan.After()
	}},
}

func soonerByHand(start time.Time, _ bool) time.Duration {
	return min(time.Until(start.Add(firstTimeout)), time.Until(start.Add(secondTimeout)))
}

func measureHandled(m *measuring) (h handled) {
	for _, w := range handledWays {
		m.say("%s", w.name)
		h = append(h, runHandled(m.T, w.name, w.clientGo, w.wait))
	}
	return h
}

func runHandled(t *testing.T, name string, clientGo bool, wait func(start time.Time, handled bool) time.Duration) handledWay {
	t.Helper()
	way := handledWay{Name: name, Lost: true}
	var mu sync.Mutex // guards way and start
	var start time.Time
	one := func(stop func()) time.Duration {
		time.Sleep(handledTakes)
		mu.Lock()
		defer mu.Unlock()
		if start.IsZero() {
			start = time.Now()
		}
		handled := requeue.Expired(start, firstTimeout, nil)
		if handled {
			way.Reconciles++
		}
		if requeue.Expired(start, secondTimeout, nil) {
			way.Lost, way.Late = false, time.Since(start.Add(secondTimeout)).Seconds()
			stop()
			return 0
		}
		return wait(start, handled)
	}
	const length = secondTimeout + afterwards
	if clientGo {
		onClientGo(t, length, one)
		return way
	}
	inVirtualTime(t, length, 1, false, func(create func(name string)) { create("pipeline") },
		func(_ context.Context, _ string, stop func()) (time.Duration, error) { return one(stop), nil })
	return way
}

// onClientGo is [inVirtualTime] with a worker as a controller on client-go has it, and
// one object.
func onClientGo(t *testing.T, length time.Duration, one func(stop func()) time.Duration) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		q := workqueue.NewTypedDelayingQueue[string]()
		time.AfterFunc(length, q.ShutDown)
		q.Add("pipeline")
		for {
			key, shutdown := q.Get()
			if shutdown {
				return
			}
			stopped := false
			if wait := one(func() { stopped = true }); stopped {
				q.ShutDown()
			} else {
				q.AddAfter(key, wait)
			}
			q.Done(key)
		}
	})
}

func (h handled) show() shown {
	s := shown{values: map[string]string{}}
	p := panel{Title: "reconciles in the 50 minutes between a deadline that was acted on and the next", Floor: 0.5}
	looks := series{Name: "reconciles"}
	var rows [][]string
	for i, w := range h {
		late := seconds(w.Late) + " late"
		if w.Lost {
			late = "never acted on"
		}
		rows = append(rows, []string{w.Name, whole(w.Reconciles), late})
		p.Rows = append(p.Rows, unquoted(w.Name))
		looks.Y = append(looks.Y, float64(w.Reconciles))
		s.values[[]string{"clientgo", "controllerruntime", "timeout", "handled"}[i]+".reconciles"] = whole(w.Reconciles)
	}
	p.Dots = []series{looks}
	s.values["table"] = table([]string{"waits", "reconciles", "the second deadline"}, rows...)
	s.figures = []figure{{Name: "handled", Panels: []panel{p}, Width: 2}}
	return s
}
