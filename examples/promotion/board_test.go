package main

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

func TestBoard_table(t *testing.T) {
	var out bytes.Buffer
	long := "test.01jqxa0000000000000000000a.5a8e3f0"
	manifests := []manifest{{name: long, timeout: 4 * time.Second}, {name: "short", timeout: time.Second}, {name: "endless"}}
	b := newBoard(&out, func() (int, int) { return 200, 50 }, 5*time.Second, contenders(false))
	b.start(manifests, false)
	out.Reset()
	b.observe(0, controller.Event{Name: long, Phase: v1alpha1.PhaseRunning})
	b.observe(1, controller.Event{Name: long, Phase: v1alpha1.PhaseFailed, Failed: true, Late: 4 * time.Millisecond})
	b.observe(0, controller.Event{Name: "short", Phase: v1alpha1.PhaseFailed, Failed: true, Late: 2500 * time.Millisecond})
	b.observe(1, controller.Event{Name: "short", Phase: v1alpha1.PhaseFailed, Failed: true, Late: -time.Second}) // the clock was set back
	b.observe(1, controller.Event{Name: "another's"})

	b.draw(200, 50)
	lines := strings.Split(strings.ReplaceAll(out.String(), "\x1b[2K", ""), "\n")
	assert.Regexp(t, `^PROMOTION +TIMEOUT +FIXED INTERVAL +REQUEUE +$`, lines[0])
	assert.Regexp(t, `^endless +none`, lines[1], "sorted by timeout")
	assert.Regexp(t, `^short +1s +2.5s late +████████▏ +-1s late +▏`, lines[2])
	assert.Regexp(t, `^`+long+` 4s +running +4ms late +▏`, lines[3])

	out.Reset()
	b.draw(20, 3) // a small terminal
	assert.Equal(t, "\x1b[4A\x1b[2KPROMOTION           \n\x1b[2K... and 3 more\n", out.String())
	out.Reset()
	b.draw(200, math.MaxInt)
	assert.True(t, strings.HasPrefix(out.String(), "\x1b[2A\x1b[2KPROMOTION"))
	assert.Contains(t, out.String(), long)

	out.Reset()
	assert.Equal(t, 1, b.summary(), "the long one by the fixed interval is open")
	assert.Regexp(t, `failed at their timeout +1 of 2 +2 of 2`, out.String())
	assert.Regexp(t, `late, p50 +2.5s +-1s`, out.String())
	assert.Regexp(t, `late, max +2.5s +4ms`, out.String())
	assert.Regexp(t, `reconciles +2 +2`, out.String())
}

func TestBoard_longTimeouts(t *testing.T) {
	manifests := []manifest{{name: "a", timeout: math.MaxInt64}, {name: "b", timeout: math.MinInt64}}
	b := newBoard(io.Discard, nil, time.Second, contenders(true))
	b.start(manifests, true)
	assert.Equal(t, "b", b.rows[0].name)
	assert.Equal(t, time.Duration(math.MaxInt64), b.length(true)+grace)
}

func TestQuantile(t *testing.T) {
	ms := func(ns ...time.Duration) (ds []time.Duration) {
		for _, n := range ns {
			ds = append(ds, n*time.Millisecond)
		}
		return ds
	}
	assert.Equal(t, "-", quantile(nil, 0.5))
	assert.Equal(t, "7ms", quantile(ms(7), 0.5))
	assert.Equal(t, "2ms", quantile(ms(3, 1, 2), 0.5))
	assert.Equal(t, "2ms", quantile(ms(4, 3, 2, 1), 0.5))
	assert.Equal(t, "4ms", quantile(ms(4, 3, 2, 1), 1))
}
