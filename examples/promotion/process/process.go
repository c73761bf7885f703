// Package process runs parts of a program in processes of their own, so that they can be
// killed. The program executes itself; its main calls Main first.
package process

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// A Part is what a process runs until ctx ends. It reads its config, which is JSON, and
// tells its parent what happens, anything that can be JSON, from any goroutine.
type Part func(ctx context.Context, config json.RawMessage, tell func(any)) error

// variable is the environment variable that makes a process a part.
const variable = "REQUEUE_EXAMPLE_PROCESS"

type order struct {
	Part   string
	Config json.RawMessage
	// Remove is a directory that is removed when the parent is gone.
	Remove string
}

// Main runs a part and returns true, if this process is one. A part lives no longer than
// its parent, however that ends.
func Main(parts map[string]Part) bool {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return false
	}
	if err := run(parts, text); err != nil {
		fmt.Fprintln(os.Stderr, "part of the program:", err)
		os.Exit(1)
	}
	return true
}

func run(parts map[string]Part, text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return fmt.Errorf("%s is %q: %w", variable, text, err)
	}
	part, ok := parts[o.Part]
	if !ok {
		return fmt.Errorf("%s names the part %q, which this program has not", variable, o.Part)
	}
	// A terminal sends these to all processes, and the parent says when to stop. A pipe
	// that breaks is a parent that is gone, which is seen below.
	signal.Ignore(os.Interrupt, syscall.SIGHUP, syscall.SIGPIPE)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		// The parent writes a line to end this process. The end of the input is that
		// of the parent.
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			if o.Remove != "" {
				_ = os.RemoveAll(o.Remove)
			}
			os.Exit(1)
		}
		stop()
	}()
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	return part(ctx, o.Config, func(message any) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(message) // an error is a parent that is gone
	})
}

// Process is a part that runs.
type Process struct {
	// Messages are what it tells, one after the other, until it ends. They must be
	// received.
	Messages <-chan json.RawMessage

	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
	err   error // once ended is closed
}

// Start starts a part, which Stop or Kill must end. If this process is killed, the part
// removes the directory remove, unless that is empty.
func Start(part string, config any, remove string) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	configured, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(order{part, configured, remove})
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: exec.Command(program), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), variable+"="+string(text))
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %q: %w", part, err)
	}
	messages := make(chan json.RawMessage, 1000)
	p.Messages = messages
	go func() {
		lines := json.NewDecoder(stdout)
		for {
			var message json.RawMessage
			if err := lines.Decode(&message); err != nil {
				break // the end, or half a message of one that was killed
			}
			messages <- message
		}
		close(messages)
		_, _ = io.Copy(io.Discard, stdout)
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Pid is the number of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Signal sends a signal. A process that is stopped by one must be killed or go on.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Kill ends the process at once (SIGKILL), and returns when it has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error is a process that has ended
	<-p.ended
}

// Stop lets the process end by itself, and returns when it has ended, and why if that is
// an error. A process that has ended already is no error.
func (p *Process) Stop() error {
	select {
	case <-p.ended:
		return nil
	default:
	}
	_, _ = io.WriteString(p.stdin, "stop\n")
	<-p.ended
	if p.err != nil {
		return fmt.Errorf("process %d: %w", p.Pid(), p.err)
	}
	return nil
}
