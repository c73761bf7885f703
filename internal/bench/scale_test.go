package main

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
)

// scaleInterval is how often each of the objects that wait is woken.
const scaleInterval = 5 * time.Minute

// measureScale is what it costs to have many objects wait: each is woken once in an interval,
// is handed out, and waits again. In virtual time, so that a million wait at once and the
// processor does nothing but this. What the queue takes of a core and of memory is computed. Ours
// is measured with deadlines, too, each told to it and before a poll.
func measureScale(m measuring) {
	const withDeadlines = oursName + " with deadlines"
	for _, objects := range sized([]int{500, 1000}, []int{10_000, 100_000, 1_000_000}) {
		for _, queue := range append(slices.Clone(queueNames), withDeadlines, timerName) {
			var cpu, heap []float64
			for range 3 {
				var c, h float64
				switch queue {
				case timerName:
					c = wakeTimers(m.T, objects)
				case withDeadlines:
					c, h = wakeAll(m.T, oursName, objects, waitWithDeadline)
				default:
					c, h = wakeAll(m.T, queue, objects, typedQueue.AddAfter)
				}
				cpu, heap = append(cpu, c), append(heap, h)
			}
			rate := float64(objects) / scaleInterval.Seconds()
			values := map[string]float64{"CPU of a wake-up (s)": median(cpu), "wake-ups a second": rate, "of a core (%)": 100 * rate * median(cpu)}
			if queue != timerName {
				values["heap (B)"], values["heap of all (MB)"] = median(heap), float64(objects)*median(heap)/1e6
			}
			assert.Positive(m, values["CPU of a wake-up (s)"], queue)
			m.tell(values, digits(float64(objects)), queue)
		}
	}
}

func median(xs []float64) float64 { return slices.Sorted(slices.Values(xs))[len(xs)/2] }

// woken is how many of the objects are woken: enough to see what one takes.
func woken(objects int) int { return min(objects, 200_000) }

// waitWithDeadline has a queue of ours wait with a key for a deadline, and for a poll after that.
func waitWithDeadline(q typedQueue, key request, ahead time.Duration) {
	q.(deadlinequeue.Queue[request]).Decide(key, requeue.Decision{Deadline: time.Now().Add(ahead)})
	q.AddAfter(key, ahead+2*time.Hour)
}

// wakeAll has all objects wait, evenly spread over the interval, and be woken.
func wakeAll(t *testing.T, queue string, objects int, wait func(q typedQueue, key request, d time.Duration)) (seconds, bytes float64) {
	t.Helper()
	before := heapInUse()
	keys := requests(objects)
	synctest.Test(t, func(*testing.T) {
		q := makeQueue(queue)
		next := func(d time.Duration) {
			k, _ := q.Get()
			wait(q, k, d)
			q.Done(k)
		}
		for i, k := range keys {
			q.Add(k)
			next(scaleInterval * time.Duration(i+1) / time.Duration(objects))
		}
		synctest.Wait()
		bytes = (heapInUse() - before) / float64(objects)
		began := cpu()
		for range woken(objects) {
			next(scaleInterval)
		}
		seconds = (cpu() - began).Seconds() / float64(woken(objects))
		q.ShutDown()
	})
	runtime.KeepAlive(keys)
	return seconds, bytes
}

// wakeTimers is the reference: a timer for each object, that is set again.
func wakeTimers(t *testing.T, objects int) (seconds float64) {
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
		seconds = (cpu() - began).Seconds() / float64(woken(objects))
		for _, timer := range timers {
			timer.Stop()
		}
	})
	return seconds
}
