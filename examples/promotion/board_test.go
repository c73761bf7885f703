package main

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

func TestBoard_table(t *testing.T) {
	var out bytes.Buffer
	long := "test.01jqxa0000000000000000000a.5a8e3f0"
	manifests := []manifest{{name: long, timeout: 4 * time.Second}, {name: "short", timeout: time.Second}, {name: "endless"}}
	b := newBoard(&out, func() (int, int) { return 200, 50 }, 5*time.Second, contenders(false))
	b.start(manifests, false)
	assert.Equal(t, "3 promotions for each controller, poll interval 5s; this takes up to 9s\n"+
		"startedAt has whole seconds, so a timeout may seem to end up to 1s early\nwithout a timeout: endless\n\n", out.String())
	out.Reset()
	b.observe(0, controller.Event{Name: long, Phase: v1alpha1.PhaseRunning})
	b.observe(1, controller.Event{Name: long, Phase: v1alpha1.PhaseFailed, Failed: true, Late: 4 * time.Millisecond})
	b.observe(0, controller.Event{Name: "short", Phase: v1alpha1.PhaseFailed, Failed: true, Late: 2500 * time.Millisecond})
	b.observe(1, controller.Event{Name: "short", Phase: v1alpha1.PhaseFailed, Failed: true, Late: -time.Second}) // the clock was set back
	b.observe(1, controller.Event{Name: "another's"})

	screen := func(width, height int) string {
		out.Reset()
		b.draw(width, height)
		return strings.ReplaceAll(out.String(), "\x1b[2K", "")
	}
	assert.Equal(t, strings.TrimPrefix(`
PROMOTION                               TIMEOUT   FIXED INTERVAL                  REQUEUE
endless                                 none
short                                   1s        2.5s late     ███████▏          -1s late      ▏
test.01jqxa0000000000000000000a.5a8e3f0 4s        running                         4ms late      ▏
`, "\n"), screen(200, 50), "sorted by timeout")
	assert.Equal(t, "\x1b[4A"+`PROMOTION                               TIMEOUT   FIXED INTERVAL  REQUEUE
endless                                 none
short                                   1s        2.5s late       -1s late
test.01jqxa0000000000000000000a.5a8e3f0 4s        running         4ms late
`, screen(80, 50), "without bars, as there is no room")
	assert.Equal(t, "\x1b[4A"+`PROMOTION           TIMEOUT   FIXED INTERVAL  REQUEUE
endless             none
short               1s        2.5s late       -1s late
test.01jqxa0000000… 4s        running         4ms late
`, screen(60, 50))
	assert.Equal(t, "\x1b[4APROMOTION TIMEOUT  …\n... and 3 more\n", screen(20, 3), "a small terminal")
	assert.Contains(t, screen(200, math.MaxInt), long)
	assert.True(t, strings.HasPrefix(out.String(), "\x1b[2A"))

	out.Reset()
	assert.Equal(t, 1, b.summary(), "the long one by the fixed interval is open")
	assert.Regexp(t, `timed out +1 of 2 +2 of 2\n`, out.String())
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

// What is shipped fits a terminal of 80 columns, in a table and in lines, and with -load, too.
func TestBoard_80columns(t *testing.T) {
	manifests, err := loadManifests("", nil)
	require.NoError(t, err)
	for i := range manifests {
		manifests[i].timeout = 12 * time.Second
	}
	for _, size := range []func() (int, int){nil, func() (int, int) { return 80, 50 }} {
		var out bytes.Buffer
		b := newBoard(&out, size, 5*time.Second, contenders(true))
		b.start(manifests, true)
		for _, m := range manifests {
			for i := range b.contenders {
				b.observe(i, controller.Event{Name: m.name, Phase: v1alpha1.PhaseFailed, Failed: true, Late: 12345 * time.Millisecond})
			}
		}
		if size != nil {
			b.draw(size())
		}
		b.summary()
		text := strings.ReplaceAll(out.String(), "\x1b[2K", "")
		for line := range strings.Lines(text) {
			assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), 80, line)
		}
		assert.NotContains(t, text, "…")
		assert.Contains(t, text, "storefront-prod-eu")
	}
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
