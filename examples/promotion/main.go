// Command promotion runs a controller-runtime controller for Promotions, in the
// shape of Kargo's, twice on the same Kubernetes API server: once polling at a
// fixed interval and once with requeue; with -load a third time with deadlinequeue.
// No step that has a timeout ever finishes by itself, so each has to time out, and the
// command shows how late it does under each controller.
//
// With -replicas the controller runs in several processes instead, one of which leads,
// and that one is killed.
//
// The API server and its etcd are real and run in this process. There is nothing
// to install and nothing is left behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/requeue-go/requeue/examples/promotion/kubeapi"
	"github.com/requeue-go/requeue/examples/promotion/process"
)

const usage = `Usage: promotion [flags]

Runs promotions whose steps wait for something that never comes, under two
controllers on one Kubernetes API server, and shows how late each has them time out:

  fixed interval   looks at every promotion again after -interval, as most
                   controllers do
  requeue          looks again after -interval or at the step's timeout,
                   whichever is sooner
  deadlinequeue    with -load: the same, and its work queue knows the timeout

With -replicas it runs the last one in several processes in their place, kills the
leading one (kill -9) when half of the timeouts are over, and shows who takes over, and
how late those are that were due in between: up to the Lease and two tries to get it.
What coordinates the processes is Kubernetes (a Lease, the watch, the status with its
resourceVersion), and nothing of requeue or deadlinequeue: the next leader reads when each
step has started. A watch of the API server counts how often each times out, and the exit
code is 1 if one is lost, times out twice, or too early.

A startedAt has whole seconds, so a timeout may seem to end up to 1s early. The exit code
after Ctrl-C is 130.

Flags:
`

type options struct {
	from       string
	interval   time.Duration
	load       bool
	replicas   int // 0: as usual
	kubeconfig string
	yes        bool
	verbose    bool
}

func main() {
	if process.Main(parts) {
		return
	}
	os.Exit(command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// interrupted is the exit code of a program that Ctrl-C ended, as shells have it.
const interrupted = 130

// command runs the program and returns its exit code.
func command(args []string, stdin io.Reader, stdout *os.File, stderr io.Writer) int {
	complain := func(code int, err error) int {
		fmt.Fprintln(stderr, "promotion:", err)
		return code
	}
	o, err := parseFlags(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return complain(2, err)
	}
	// Before signals are caught, as a read of standard input cannot be ended.
	manifests, err := loadManifests(o.from, stdin)
	if err != nil {
		return complain(1, err)
	}
	process.SetLogger(o.verbose)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	return runUntilDone(ctx, o, manifests, stdout, complain)
}

func runUntilDone(ctx context.Context, o options, manifests []manifest, stdout *os.File, complain func(int, error) int) int {
	// A reader that goes away (promotion | head) ends the run like a signal. Go
	// makes an error of it where the signal is caught.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &cancelWriter{stdout, cancel}

	var err error
	if o.replicas > 0 {
		err = onServer(ctx, out, func(server *kubeapi.Server, dir string) error {
			return runReplicas(ctx, server, dir, o, manifests, out)
		})
	} else {
		err = run(ctx, o, manifests, newBoard(out, sizeOf(stdout), o.interval, contenders(o.load)))
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(out, "\ninterrupted, all is stopped and removed")
		return interrupted
	}
	if err != nil {
		return complain(1, err)
	}
	return 0
}

// cancelWriter cancels when it cannot write.
type cancelWriter struct {
	io.Writer
	cancel context.CancelFunc
}

func (w *cancelWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		w.cancel()
	}
	return n, err
}

// sizeOf returns a function that tells the size of the terminal that f is, nil if
// it is none.
func sizeOf(f *os.File) func() (width, height int) {
	if !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func() (width, height int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}
}

func parseFlags(args []string, out io.Writer) (o options, err error) {
	// Not flag.CommandLine: controller-runtime puts a -kubeconfig of its own there.
	flags := flag.NewFlagSet("promotion", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.from, "f", "", "`file` of manifests, a directory of them, or - for standard input, read by kubectl's library and checked by the API server, which refuses unknown fields: all of them are run, or none (default: the ones shipped with this example)")
	o.interval = 5 * time.Second
	flags.Func("interval", "how often the controllers look at a promotion whatever happens, as a `duration` such as 5s or 5m; stands for the 5m of a real controller (default 5s)", func(text string) (err error) {
		if o.interval, err = time.ParseDuration(text); err != nil {
			return errors.New("want a duration such as 5s or 5m")
		}
		return nil
	})
	flags.BoolVar(&o.load, "load", false, "keep the workers of each controller busy with a backlog, and add the third controller")
	flags.IntVar(&o.replicas, "replicas", 0, fmt.Sprintf("run the controller in `n` processes, 2 to %d, with leader election, and kill the one that leads", mostReplicas))
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "run on the cluster of this kubeconfig `file` instead of an API server in this process")
	flags.BoolVar(&o.yes, "yes", false, "with -kubeconfig: go on and install what is needed there; all of it is removed at the end")
	flags.BoolVar(&o.verbose, "v", false, "show the logs of the API server, client-go and controller-runtime on standard error")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(out, usage)
			flags.SetOutput(out)
			flags.PrintDefaults()
		}
		return o, err
	}
	replicated := false
	flags.Visit(func(f *flag.Flag) { replicated = replicated || f.Name == "replicas" })
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q is not a flag; -h lists them", flags.Arg(0))
	case o.interval <= 0:
		return o, fmt.Errorf("-interval is %v; want more than 0", o.interval)
	case o.yes && o.kubeconfig == "":
		return o, errors.New("-yes goes with -kubeconfig")
	case replicated && (o.replicas < 2 || o.replicas > mostReplicas):
		return o, fmt.Errorf("-replicas is %d; want 2 to %d, as one is killed and another takes over", o.replicas, mostReplicas)
	case replicated && o.load:
		return o, errors.New("-replicas does not go with -load, which shows what other queues do")
	case replicated && o.kubeconfig != "":
		return o, errors.New("-replicas does not go with -kubeconfig; it runs on an API server in this process")
	}
	return o, nil
}
