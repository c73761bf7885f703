package main

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// scale is what it costs to have many objects wait: each is woken once in an interval,
// is handed out, and waits again. In virtual time, so that a million wait at once and
// the processor does nothing but this.
type scale struct {
	Interval time.Duration
	Rows     []scaleRow
}

type scaleRow struct {
	Objects int
	// By queue, of each round.
	NS    map[string][]float64 // CPU of a wake-up: the wait, the hand-out, Done, AddAfter
	Bytes map[string][]float64 // heap of a waiting object, its key included
}

const scaleInterval = 5 * time.Minute

func measureScale(m *measuring) scale { return scaleOf(m, 3, 10_000, 100_000, 1_000_000) }

func scaleOf(m *measuring, n int, sizes ...int) scale {
	s := scale{Interval: scaleInterval}
	for _, objects := range sizes {
		m.say("%s objects", whole(objects))
		row := scaleRow{Objects: objects, Bytes: map[string][]float64{}}
		row.NS = rounds(n, withTimer, func(name string) float64 {
			if name == timerName {
				return wakeTimers(m.T, objects)
			}
			ns, bytes := wakeAll(m.T, name, objects)
			row.Bytes[name] = append(row.Bytes[name], bytes)
			return ns
		})
		s.Rows = append(s.Rows, row)
	}
	return s
}

// wakeAll has all objects wait, evenly spread over the interval, and be woken once.
func wakeAll(t *testing.T, name string, objects int) (ns, bytes float64) {
	t.Helper()
	before := heapInUse()
	keys := requests(objects)
	synctest.Test(t, func(*testing.T) {
		q := makeQueue[name]("")
		for i, k := range keys {
			q.AddAfter(k, scaleInterval*time.Duration(i+1)/time.Duration(objects))
			if i%1000 == 0 {
				q.Len() // until controller-runtime has taken them
			}
		}
		q.Len()
		synctest.Wait()
		bytes = float64(heapInUse()-before) / float64(objects)
		began := cpu()
		for range keys {
			k, _ := q.Get()
			q.Done(k)
			q.AddAfter(k, scaleInterval)
		}
		ns = float64(cpu()-began) / float64(objects)
		q.ShutDown()
	})
	runtime.KeepAlive(keys)
	return ns, bytes
}

// wakeTimers is the reference: a timer for each object, that is set again.
func wakeTimers(t *testing.T, objects int) (ns float64) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		woken := make(chan int, 1)
		timers := make([]*time.Timer, objects)
		for i := range timers {
			timers[i] = time.AfterFunc(scaleInterval*time.Duration(i+1)/time.Duration(objects), func() { woken <- i })
		}
		began := cpu()
		for range timers {
			timers[<-woken].Reset(scaleInterval)
		}
		ns = float64(cpu()-began) / float64(objects)
		for _, timer := range timers {
			timer.Stop()
		}
	})
	return ns
}

// exponent is by which power of the number of objects the cost of all wake-ups grows,
// by a least-squares fit of the logarithms.
func (s scale) exponent(name string) float64 {
	var n, sx, sy, sxx, sxy float64
	for _, r := range s.Rows {
		x, y := math.Log(float64(r.Objects)), math.Log(median(r.NS[name])*float64(r.Objects))
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

func (s scale) show() shown {
	v := shown{values: map[string]string{}}
	var rows [][]string
	p := panel{Title: "CPU of one wake-up", X: "objects that wait", Y: "ns", LogX: true, Room: true}
	mem := panel{Title: "heap of one waiting object, key included", Y: "bytes"}
	for _, name := range withTimer {
		line := series{Name: name}
		for _, r := range s.Rows {
			line.X = append(line.X, float64(r.Objects))
			line.Y = append(line.Y, median(r.NS[name]))
		}
		p.Lines = append(p.Lines, line)
		if name != timerName {
			bars := series{Name: name}
			for _, r := range s.Rows {
				bars.Y = append(bars.Y, median(r.Bytes[name]))
			}
			mem.Bars = append(mem.Bars, bars)
		}
		v.values[keyOf(name)+".exponent"] = fmt.Sprintf("%.2f", s.exponent(name))
	}
	for _, r := range s.Rows {
		mem.Rows = append(mem.Rows, whole(r.Objects))
		cells := []string{whole(r.Objects)}
		for _, name := range withTimer {
			cells = append(cells, digits(median(r.NS[name])))
		}
		for _, name := range queueNames {
			cells = append(cells, digits(median(r.Bytes[name])))
		}
		rows = append(rows, cells)
	}
	fitted := []string{"fitted exponent"}
	for _, name := range withTimer {
		fitted = append(fitted, v.values[keyOf(name)+".exponent"])
	}
	rows = append(rows, append(fitted, "", "", ""))
	v.values["table"] = table([]string{"objects", "deadlinequeue: CPU ns a wake-up", "client-go", "controller-runtime", "a bare timer",
		"deadlinequeue: bytes an object", "client-go", "controller-runtime"}, rows...)

	// What the queue takes of one core and of memory, if so many objects are polled in
	// the interval.
	last := s.Rows[len(s.Rows)-1]
	rate := float64(last.Objects) / s.Interval.Seconds()
	v.values["most.objects"] = whole(last.Objects)
	v.values["most.rate"] = digits(rate)
	v.values["most.core"] = amount(100*rate*median(last.NS[oursName])/1e9, "%")
	v.values["most.heap"] = amount(float64(last.Objects)*median(last.Bytes[oursName])/1e6, "MB")
	v.figures = []figure{{Name: "scale", Panels: []panel{p, mem}}}
	return v
}

// keyOf is the name of a queue in markers.
func keyOf(name string) string {
	return map[string]string{oursName: "queue", clientGoName: "clientgo", controllerRuntimeName: "controllerruntime", timerName: "timer"}[name]
}
