package kubeapi

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // an example cannot skip itself
		_ = flag.Set("test.skip", "^Example")
	}
	os.Exit(m.Run())
}

func TestServer_leavesNothingBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an API server, which -short does without")
	}
	t.Setenv("TMPDIR", t.TempDir())
	server, err := Start(t.Context())
	require.NoError(t, err)
	info, err := os.Stat(server.dir)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	anonymous := rest.AnonymousClientConfig(server.Config)
	client, err := rest.UnversionedRESTClientFor(unversioned(anonymous))
	require.NoError(t, err)
	assert.ErrorContains(t, client.Get().AbsPath("/apis").Do(t.Context()).Error(), "Unauthorized")

	require.NoError(t, server.Stop())
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// A context that is cancelled while the server starts neither ends the process
// nor leaves the server running.
func TestStart_cancelled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an API server, which -short does without")
	}
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx)
	require.ErrorIs(t, err, context.Canceled)
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestStart_pathTooLong(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	require.NoError(t, os.Mkdir(long, 0o700))
	t.Setenv("TMPDIR", long)
	_, err := Start(t.Context())
	assert.ErrorContains(t, err, "set TMPDIR to a shorter one")
}
