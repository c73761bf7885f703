package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shows runs the command and returns what it prints.
func shows(t *testing.T, colour bool, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	require.Zero(t, command(args, &stdout, &stderr, colour), stderr.String())
	require.Empty(t, stderr.String())
	return stdout.String()
}

// The golden file is what `go run ./examples/timeline` prints; the README shows the drawing
// and its legend.
func TestCommand_default(t *testing.T) {
	golden, err := os.ReadFile("testdata/default.txt")
	require.NoError(t, err)
	assert.Equal(t, string(golden), shows(t, false))

	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	parts := strings.Split(string(golden), "\n\n")
	assert.Contains(t, string(readme), parts[1]+"\n\n"+parts[3], "the README shows something else")
}

func TestCommand_fitsTheTerminal(t *testing.T) {
	for _, args := range []string{
		"", "-fails 0", "-fails 20", "-fails 0 -timeout 10m125ms",
		"-timeout 1s -poll 1s", "-timeout 1s -poll 8760h -fails 20", "-timeout 8760h -poll 1h -fails 20",
		"-timeout 8759h59m59.999s -poll 1h59m59.999s -fails 20", "-timeout 8759h59m59.999s -poll 8759h59m59.999s -fails 20",
		"-timeout 5m -poll 5m", "-timeout 24h -poll 1s", "-timeout 1.999s -poll 1.001s -fails 3", "-h",
	} {
		t.Run(args, func(t *testing.T) {
			for line := range strings.Lines(shows(t, false, strings.Fields(args)...)) {
				line = strings.TrimSuffix(line, "\n")
				line = strings.ReplaceAll(line, "    \t", "        ") // as package flag writes one
				assert.LessOrEqual(t, utf8.RuneCountInString(line), 80, line)
				assert.Equal(t, strings.TrimRight(line, " "), line, "blanks at the end")
			}
		})
	}
}

func TestCommand_colours(t *testing.T) {
	plain, coloured := shows(t, false), shows(t, true)
	assert.NotContains(t, plain, "\x1b")
	assert.Contains(t, coloured, red+"lost"+reset)
	assert.Contains(t, coloured, yellow+"8m0.25s late"+reset)
	assert.Contains(t, coloured, green+"150ms late"+reset)
	assert.Equal(t, plain, regexp.MustCompile(`\x1b\[\d+m`).ReplaceAllString(coloured, ""))
}

func TestColoured(t *testing.T) {
	none := func(string) string { return "" }
	device, err := os.Open(os.DevNull) // a character device, as a terminal is
	require.NoError(t, err)
	defer device.Close()
	file, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer file.Close()

	assert.True(t, coloured(device, none))
	assert.False(t, coloured(file, none))
	for name, value := range map[string]string{"NO_COLOR": "1", "TERM": "dumb"} {
		assert.False(t, coloured(device, func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		}), name)
	}
}

func TestCommand_wrongFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-poll 5":                    `invalid value "5" for flag -poll: it has no unit; write 5s, 5m or 5h`,
		"-timeout 1.5":               `invalid value "1.5" for flag -timeout: it has no unit; write 1.5s, 1.5m or 1.5h`,
		"-timeout 1d":                `invalid value "1d" for flag -timeout: want numbers with units, such as 30s, 5m or 1h30m`,
		"-poll 0":                    `invalid value "0" for flag -poll: want 1s to 8760h`,
		"-poll -5m":                  `invalid value "-5m" for flag -poll: want 1s to 8760h`,
		"-timeout 9000h":             `invalid value "9000h" for flag -timeout: want 1s to 8760h`,
		"-fails -1":                  `invalid value "-1" for flag -fails: want a whole number from 0 to 20`,
		"-fails few":                 `invalid value "few" for flag -fails: want a whole number from 0 to 20`,
		"-fails 21":                  `invalid value "21" for flag -fails: want a whole number from 0 to 20`,
		"-poll":                      `flag needs an argument: -poll`,
		"-interval 5m":               `flag provided but not defined: -interval`,
		"5m":                         `"5m" is not a flag`,
		"-timeout 1000h1s -poll 36s": "",
		"-timeout 1001h -poll 36s":   "-poll 36s is too short for -timeout 1001h: that is 100100 looks; want at most 100000",
	} {
		t.Run(args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := command(strings.Fields(args), &stdout, &stderr, false)
			if want == "" {
				assert.Zero(t, code)
				return
			}
			assert.Equal(t, 2, code)
			assert.Empty(t, stdout.String())
			assert.Contains(t, stderr.String(), "timeline: "+want)
			assert.Equal(t, 1, strings.Count(stderr.String(), "\n"))
		})
	}
}

func TestCommand_help(t *testing.T) {
	help := shows(t, false, "-h")
	for _, flag := range []string{"-timeout", "-poll", "-fails"} {
		assert.Contains(t, help, "  "+flag+" ")
	}
}

// How late each is, by the rule in words. A promotion is failed when the write that says so
// has ended, 50 ms after the look that began it; each look before the timeout takes as long.
//
//   - fixed interval: the first look at or after the timeout, and one interval and one write
//     more for each conflict.
//   - by hand: 50 ms; never if there is a conflict, or if the timeout passes in a write.
//   - requeue: 50 ms; after a conflict it waits as long again as the timeout is past, at most
//     a minute and at most the interval.
func TestRun_late(t *testing.T) {
	const never = -1
	ms, m := time.Millisecond, time.Minute
	tests := []struct {
		name                   string
		timeout, poll          time.Duration
		fails                  int
		fixed, byHand, requeue time.Duration
	}{
		{"looks at 0, 5m0.05s, 10m0.1s, 15m0.15s", 12 * m, 5 * m, 0, 3*m + 200*ms, 50 * ms, 50 * ms},
		{"a conflict at 15m0.15s; again at 20m0.2s", 12 * m, 5 * m, 1, 8*m + 250*ms, never, 150 * ms},
		{"past by 50 ms: again at 100 ms; by 150 ms: at 300 ms", 12 * m, 5 * m, 2, 13*m + 300*ms, never, 350 * ms},
		{"by 350 ms: at 700 ms", 12 * m, 5 * m, 3, 18*m + 350*ms, never, 750 * ms},
		{"the write from 10m0.1s on ends at 10m0.15s, 25 ms past", 10*m + 125*ms, 5 * m, 0, 5*m + 75*ms, never, 100 * ms},
		{"the write ends at the timeout: a wait of 0", 10*m + 150*ms, 5 * m, 0, 5*m + 50*ms, never, 51 * ms},
		{"the write ends 1 ms before it", 10*m + 151*ms, 5 * m, 0, 5*m + 49*ms, 50 * ms, 50 * ms},
		{"a look at the very timeout", 5*m + 50*ms, 5 * m, 0, 50 * ms, 50 * ms, 50 * ms},
		{"the interval is longer", 1 * m, 1 * time.Hour, 0, 59*m + 100*ms, 50 * ms, 50 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sc := scenario{timeout: tt.timeout, poll: tt.poll, fails: tt.fails}
			for name, c := range map[string]struct {
				reconcile reconcile
				want      time.Duration
			}{
				"fixed interval": {fixedInterval, tt.fixed}, "by hand": {byHand, tt.byHand}, "requeue": {withRequeue, tt.requeue},
			} {
				looks := sc.run(c.reconcile)
				last := looks[len(looks)-1]
				if c.want == never {
					assert.True(t, last.lost(), name)
					continue
				}
				assert.Equal(t, failed, last.what, name)
				assert.Equal(t, c.want, last.end-sc.timeout, name)
			}
		})
	}
}

// A timeout that has long passed is tried again once a minute, or at the interval.
func TestRun_overdue(t *testing.T) {
	for poll, want := range map[time.Duration]time.Duration{5 * time.Minute: time.Minute, 20 * time.Second: 20 * time.Second} {
		looks := scenario{timeout: 12 * time.Minute, poll: poll, fails: 20}.run(withRequeue)
		before := looks[len(looks)-2]
		assert.Equal(t, conflict, before.what)
		assert.Equal(t, want, before.returned)
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 12 * time.Minute: "12m", 2 * time.Hour: "2h", 10 * time.Second: "10s", time.Hour + 10*time.Second: "1h0m10s",
		90 * time.Minute: "1h30m", 20 * time.Minute: "20m", -50 * time.Millisecond: "-50ms", 1999 * time.Microsecond: "2ms",
	} {
		assert.Equal(t, want, short(d))
	}
}
