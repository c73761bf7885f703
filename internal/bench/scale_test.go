package main

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// measureScale is what it costs to have many objects wait: each is woken once in an interval,
// is handed out, and waits again. In virtual time, so that a million wait at once and the
// processor does nothing but this.
func measureScale(m measuring) {
	const rounds = 3
	for _, objects := range sized([]int{500, 1000}, []int{10_000, 100_000, 1_000_000}) {
		ns, bytes := map[string][]float64{}, map[string][]float64{}
		for range rounds {
			for _, queue := range queueNames {
				n, b := wakeAll(m.T, queue, objects)
				ns[queue], bytes[queue] = append(ns[queue], n), append(bytes[queue], b)
			}
			ns[timerName] = append(ns[timerName], wakeTimers(m.T, objects))
		}
		for _, queue := range append(slices.Clone(queueNames), timerName) {
			values := map[string]float64{"objects": float64(objects), "ns": median(ns[queue])}
			if queue != timerName {
				values["bytes"] = median(bytes[queue])
			}
			assert.Positive(m, values["ns"], queue)
			m.tell(values, digits(float64(objects)), queue)
		}
	}
}

func median(xs []float64) float64 { return slices.Sorted(slices.Values(xs))[len(xs)/2] }

// woken is how many of the objects are woken: enough to see what one takes.
func woken(objects int) int { return min(objects, 200_000) }

// wakeAll has all objects wait, evenly spread over the interval, and be woken.
func wakeAll(t *testing.T, queue string, objects int) (ns, bytes float64) {
	t.Helper()
	before := heapInUse()
	keys := requests(objects)
	synctest.Test(t, func(*testing.T) {
		q := makeQueue(queue)
		for i, k := range keys {
			q.AddAfter(k, scaleInterval*time.Duration(i+1)/time.Duration(objects))
			if i%1000 == 0 {
				q.Len() // until controller-runtime has taken them
			}
		}
		q.Len()
		synctest.Wait()
		bytes = (heapInUse() - before) / float64(objects)
		began := cpu()
		for range woken(objects) {
			k, _ := q.Get()
			q.Done(k)
			q.AddAfter(k, scaleInterval)
		}
		ns = float64(cpu()-began) / float64(woken(objects))
		q.ShutDown()
	})
	runtime.KeepAlive(keys)
	return ns, bytes
}

// wakeTimers is the reference: a timer for each object, that is set again.
func wakeTimers(t *testing.T, objects int) (ns float64) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		fired := make(chan int, 1)
		timers := make([]*time.Timer, objects)
		for i := range timers {
			timers[i] = time.AfterFunc(scaleInterval*time.Duration(i+1)/time.Duration(objects), func() { fired <- i })
		}
		began := cpu()
		for range woken(objects) {
			timers[<-fired].Reset(scaleInterval)
		}
		ns = float64(cpu()-began) / float64(woken(objects))
		for _, timer := range timers {
			timer.Stop()
		}
	})
	return ns
}

// Twice the objects at the same cost each are twice the cost: an exponent of 1. At twice the
// cost each, 2.
func TestExponent(t *testing.T) {
	objects := []float64{1000, 2000, 4000}
	assert.InDelta(t, 1, exponent(series{x: objects, y: []float64{7, 7, 7}}), 1e-9)
	assert.InDelta(t, 2, exponent(series{x: objects, y: []float64{10, 20, 40}}), 1e-9)
}
