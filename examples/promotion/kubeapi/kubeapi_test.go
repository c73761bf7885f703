package kubeapi

import (
	"context"
	"flag"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() { // an example cannot skip itself
		_ = flag.Set("test.skip", "^Example")
	}
	os.Exit(m.Run())
}

// etcd's client logs nothing, even when etcd has gone. It writes to the standard error that
// the process has when it starts, hence a child.
func TestServer_isQuiet(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an API server, which -short does without")
	}
	if os.Getenv("KUBEAPI_TEST_QUIET") == "" {
		child := exec.Command(os.Args[0], "-test.run=^TestServer_isQuiet$")
		child.Env = append(os.Environ(), "KUBEAPI_TEST_QUIET=1")
		var logged strings.Builder
		child.Stderr = &logged
		require.NoError(t, child.Run())
		assert.NotContains(t, logged.String(), "etcd-client")
		return
	}
	t.Setenv("TMPDIR", t.TempDir())
	server, err := Start(t.Context())
	require.NoError(t, err)
	server.etcd.Close() // and the API server goes on until the child ends
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	client, err := rest.UnversionedRESTClientFor(unversioned(server.Config))
	require.NoError(t, err)
	require.Error(t, client.Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x").Do(ctx).Error())
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

// A server that is started again in the directory and on the port of another has its
// objects, and serves its clients and those of its kubeconfig. A kept directory is not
// removed; that of a killed server has a socket in it.
func TestStartIn_again(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an API server, which -short does without")
	}
	// Not t.TempDir(), whose path is too long for a socket.
	dir, err := os.MkdirTemp("", "kept-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	kubeconfig := filepath.Join(dir, "kubeconfig")

	first, err := StartIn(t.Context(), dir, 0)
	require.NoError(t, err)
	require.NoError(t, InstallCRD(t.Context(), first.Config, LeaseCRD()))
	require.NoError(t, first.SkipEstablishingDelay(t.Context(), LeaseCRD().Name))
	require.NoError(t, first.WriteKubeconfig(kubeconfig))
	info, err := os.Stat(kubeconfig)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "l"}}
	lease.Spec.HolderIdentity = new("somebody")
	leases := coordinationclient.NewForConfigOrDie(first.Config).Leases("default")
	_, err = leases.Create(t.Context(), lease, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, first.Stop())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "etcd.sock"), nil, 0o600))

	address, err := url.Parse(first.Config.Host)
	require.NoError(t, err)
	port, err := strconv.Atoi(address.Port())
	require.NoError(t, err)
	second, err := StartIn(t.Context(), dir, port)
	require.NoError(t, err)
	defer func() { require.NoError(t, second.Stop()) }()
	got, err := leases.Get(t.Context(), "l", metav1.GetOptions{})
	require.NoError(t, err, "with the client of the first server")
	assert.Equal(t, "somebody", *got.Spec.HolderIdentity)
	loaded, err := LoadKubeconfig(kubeconfig)
	require.NoError(t, err)
	_, err = coordinationclient.NewForConfigOrDie(loaded).Leases("default").Get(t.Context(), "l", metav1.GetOptions{})
	require.NoError(t, err, "with its kubeconfig")

	_, err = StartIn(t.Context(), filepath.Join(dir, "other"), port)
	assert.ErrorContains(t, err, "address already in use")
}

func TestStartIn_openDirectory(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o750))
	_, err := StartIn(t.Context(), dir, 0)
	assert.ErrorContains(t, err, "has mode 0750; want 0700")
}
