package process_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/requeue-go/requeue/examples/promotion/process"
)

// parts are what this test runs in processes of their own.
var parts = map[string]process.Part{
	// It says what it was given, and ends when it is told to.
	"echo": func(ctx context.Context, config json.RawMessage, tell func(any)) error {
		tell(config)
		<-ctx.Done()
		return nil
	},
	"broken": func(context.Context, json.RawMessage, func(any)) error { return os.ErrInvalid },
	// It holds a connection to the test for as long as it runs.
	"child": func(ctx context.Context, config json.RawMessage, tell func(any)) error {
		var f family
		if err := json.Unmarshal(config, &f); err != nil {
			return err
		}
		conn, err := net.Dial("tcp", f.Address)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		tell(true)
		<-ctx.Done()
		return nil
	},
	"parent": func(ctx context.Context, config json.RawMessage, tell func(any)) error {
		var f family
		if err := json.Unmarshal(config, &f); err != nil {
			return err
		}
		p, err := process.Start("child", f, f.Remove)
		if err != nil {
			return err
		}
		tell(<-p.Messages)
		<-ctx.Done()
		return p.Stop()
	},
}

type family struct{ Address, Remove string }

func TestMain(m *testing.M) {
	if process.Main(parts) {
		return
	}
	os.Exit(m.Run())
}

func ExampleStart() {
	// In main or TestMain, first of all: if process.Main(parts) { return }
	p, err := process.Start("echo", "hello", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(<-p.Messages))
	fmt.Println(p.Stop())
	// Output:
	// "hello"
	// <nil>
}

func TestProcess_Kill(t *testing.T) {
	p, err := process.Start("echo", 1, "")
	require.NoError(t, err)
	<-p.Messages
	p.Kill()
	<-p.Ended()
	_, more := <-p.Messages
	assert.False(t, more)
	assert.NoError(t, p.Stop(), "it has ended already")
}

func TestProcess_Signal(t *testing.T) {
	p, err := process.Start("echo", 1, "")
	require.NoError(t, err)
	<-p.Messages
	require.NoError(t, p.Signal(os.Kill))
	<-p.Ended()
	assert.ErrorIs(t, p.Signal(os.Kill), os.ErrProcessDone)
}

func TestProcess_endsByItself(t *testing.T) {
	for _, part := range []string{"broken", "unknown"} {
		p, err := process.Start(part, nil, "")
		require.NoError(t, err)
		<-p.Ended()
		assert.NoError(t, p.Stop(), "it has ended already")
	}
}

// A part does not outlive its parent, also if that is killed, and removes what the
// parent would have.
func TestProcess_parentIsKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "left")
	require.NoError(t, os.Mkdir(dir, 0o700))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	p, err := process.Start("parent", family{listener.Addr().String(), dir}, "")
	require.NoError(t, err)
	require.Equal(t, "true", string(<-p.Messages))
	child, err := listener.Accept()
	require.NoError(t, err)
	defer func() { _ = child.Close() }()
	require.DirExists(t, dir)
	p.Kill()
	_, _ = io.ReadAll(child) // until the child has ended
	assert.NoDirExists(t, dir)
}
