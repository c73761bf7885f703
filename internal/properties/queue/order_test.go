package queue_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/requeue-go/requeue/deadlinequeue"
)

// With a share of 1 in 16, an item that is ready at position n of the order of
// arrival is handed out within 16 n hand-outs, whatever comes in meanwhile; and
// apart from that share a deadline that is due goes before every item without.
func TestQueue_bypassIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) {
			const share = 16
			q := deadlinequeue.New("", deadlinequeue.Options[string]{})
			defer q.ShutDown()
			n := rapid.IntRange(1, 20).Draw(t, "n")
			for i := range n {
				q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(-100 - i)}, fmt.Sprint("old ", i))
			}
			served, urgent := map[string]int{}, 0
			for out := 1; out <= share*n; out++ {
				for range rapid.IntRange(0, 3).Draw(t, "new") {
					urgent++
					item := fmt.Sprint("new ", urgent)
					if rapid.Bool().Draw(t, "due") {
						deadline := time.Now().Add(-time.Duration(urgent) * time.Second)
						q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(deadlinequeue.Priority(deadline))}, item)
					} else {
						q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(rapid.IntRange(0, 9).Draw(t, "priority"))}, item)
					}
				}
				if q.Len() == 0 {
					break
				}
				item, _ := q.Get()
				q.Done(item)
				served[item] = out
			}
			for i := range n {
				out, ok := served[fmt.Sprint("old ", i)]
				require.True(t, ok, "old %d is not handed out within %d hand-outs", i, share*n)
				require.LessOrEqual(t, out, share*(i+1), "old %d", i)
			}
		})
	})
}

func TestQueue_dueGoesFirstButForTheShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) {
			share := rapid.IntRange(-1, 20).Filter(func(n int) bool { return n != 0 }).Draw(t, "share")
			q := deadlinequeue.New("", deadlinequeue.Options[int]{OldestEvery: share})
			defer q.ShutDown()
			isDue, left := map[int]bool{}, 0
			for k := range rapid.IntRange(1, 200).Draw(t, "items") {
				o := priorityqueue.AddOpts{}
				if isDue[k] = rapid.Bool().Draw(t, "due"); isDue[k] {
					left++
					o.Priority = ptr.To(deadlinequeue.Priority(time.Now().Add(-time.Duration(k) * time.Second)))
				}
				q.AddWithOpts(o, k)
			}
			for out := 1; q.Len() > 0; out++ {
				k, _ := q.Get()
				q.Done(k)
				if isDue[k] {
					left--
				} else if left > 0 {
					require.True(t, share > 0 && out%share == 0, "hand-out %d of an item without a deadline while %d are due", out, left)
				}
			}
			require.Zero(t, left)
		})
	})
}
