// Command timeline draws when three controllers notice that a promotion has timed out: one
// that looks at a fixed interval, one that computes the interval by hand, and one that asks
// requeue.
//
// It runs in virtual time, and imports nothing but package requeue, so that it starts in
// seconds also where nothing has been compiled yet. controllers.go has the three controllers.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

const usage = `Usage: timeline [flags]

A promotion has a step that never ends, so it must be failed at its timeout.
Three controllers wait for that, and this draws when each looks at it:

  fixed interval  RequeueAfter: poll
  by hand         RequeueAfter: min(poll, time.Until(deadline))
  requeue         RequeueAfter: requeue.NextRequeue(start, timeout, poll, clock)

The time is virtual. A write to the API server takes 50ms, and all else takes no
time. After a conflict each controller looks again later, as it does otherwise.
A RequeueAfter of 0 or less is dropped, as controller-runtime does it.

Also without a conflict the form by hand loses the promotion, if the timeout
passes while it writes the status: -fails 0 -timeout 10m125ms.

Flags:
`

// The limits keep the drawing readable, and the run short.
const (
	shortest  = time.Second
	longest   = 365 * 24 * time.Hour
	mostFails = 20
	mostLooks = 100_000
)

func main() {
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr, coloured(os.Stdout, os.Getenv)))
}

// command runs the program and returns its exit code.
func command(args []string, stdout, stderr io.Writer, colour bool) int {
	s, err := parseFlags(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "timeline:", err)
		return 2
	}
	d := drawing{scenario: s, colour: colour}
	fmt.Fprint(stdout, d.String())
	return 0
}

// coloured is whether to write in colour to f. Colours go to a terminal, unless NO_COLOR
// is set or TERM is dumb. Package term would tell a terminal from other devices, such as
// /dev/null, and would be one module more to download.
func coloured(f *os.File, getenv func(string) string) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

func parseFlags(args []string, out io.Writer) (scenario, error) {
	s := scenario{timeout: 12 * time.Minute, poll: 5 * time.Minute, fails: 1}
	flags := flag.NewFlagSet("timeline", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("timeout", "the promotion times out after this `duration` (default 12m)", durationInto(&s.timeout))
	flags.Func("poll", "each controller looks again after this `duration` (default 5m)", durationInto(&s.poll))
	flags.Func("fails", fmt.Sprintf("this `number` of tries to fail it meet a conflict, 0 to %d (default 1)", mostFails), func(text string) (err error) {
		s.fails, err = strconv.Atoi(text)
		if err != nil || s.fails < 0 || s.fails > mostFails {
			return fmt.Errorf("want a whole number from 0 to %d", mostFails)
		}
		return nil
	})
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(out, usage)
			flags.SetOutput(out)
			flags.PrintDefaults()
			return s, err
		}
		return s, fmt.Errorf("%w; -h lists the flags", err)
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("%q is not a flag; -h lists the flags", flags.Arg(0))
	}
	if looks := s.timeout / s.poll; looks > mostLooks {
		return s, fmt.Errorf("-poll %s is too short for -timeout %s: that is %d looks; want at most %d", short(s.poll), short(s.timeout), looks, mostLooks)
	}
	return s, nil
}

// durationInto returns what reads a flag into d.
func durationInto(d *time.Duration) func(string) error {
	return func(text string) error {
		read, err := time.ParseDuration(text)
		switch {
		case err != nil && text != "" && strings.Trim(text, "0123456789.") == "":
			return fmt.Errorf("it has no unit; write %[1]ss, %[1]sm or %[1]sh", text)
		case err != nil:
			return errors.New("want numbers with units, such as 30s, 5m or 1h30m")
		case read < shortest || read > longest:
			return fmt.Errorf("want %s to %s", short(shortest), short(longest))
		}
		*d = read
		return nil
	}
}
