// Package kubeapi runs a real Kubernetes API server inside this process: the
// CRD server that kube-apiserver itself is made of (k8s.io/apiextensions-apiserver)
// over an embedded etcd. Custom resources have real storage, watches, conflicts,
// validation and status subresources. Built-in kinds (Namespace, Event, Lease,
// ...) and admission are not there.
//
// It is for examples and tests. etcd listens on a unix socket in a directory
// that only this user can enter, the API server on one loopback port with a
// self-signed certificate and a random token. LeaseCRD makes up for the Lease, so
// that controllers can elect a leader.
package kubeapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver"
	serveroptions "k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	generatedopenapi "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	discoveryendpoint "k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	_ "github.com/requeue-go/requeue/examples/promotion/kubeapi/quiet" // no log of etcd's client
)

// etcd preallocates two of these at their default of 64 MB each.
func init() { wal.SegmentSizeBytes = 4 << 20 }

// Server is a running API server.
type Server struct {
	// Config reaches the server as a cluster administrator.
	Config *rest.Config

	dir    string
	remove bool // dir, at Stop
	etcd   *embed.Etcd
	cancel context.CancelFunc
	exited chan error // the API server's end, once
}

// Start runs etcd and an API server in a new temporary directory and returns
// when the server is ready, in about half a second. Stop ends them.
func Start(ctx context.Context) (*Server, error) {
	dir, err := os.MkdirTemp("", "kubeapi-") // mode 0700
	if err != nil {
		return nil, err
	}
	return start(ctx, &Server{dir: dir, remove: true}, 0)
}

// StartIn is Start in a directory that is kept, and on a port, any that is free if it
// is 0. A server that is started again in the directory and on the port of one that was
// stopped or killed has its objects, its token and its certificate, so that the clients
// of that go on. The directory is made if it is not there; nobody else may enter it.
func StartIn(ctx context.Context, dir string, port int) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("kubeapi: others may enter %s, which has mode %#o; want 0700, as etcd asks nobody who he is", dir, mode)
	}
	return start(ctx, &Server{dir: dir}, port)
}

func start(ctx context.Context, s *Server, port int) (*Server, error) {
	err := s.startEtcd(ctx)
	if err == nil {
		err = s.startAPIServer(ctx, port)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("kubeapi: %w", err), s.Stop())
	}
	return s, nil
}

// Stop ends the API server, then etcd, and removes their directory if it is a temporary
// one. Call it once.
func (s *Server) Stop() error {
	var err error
	if s.cancel != nil {
		s.cancel()
		err = <-s.exited
	}
	if s.etcd != nil {
		s.etcd.Close()
	}
	if s.remove {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

func (s *Server) etcdSocket() url.URL {
	return url.URL{Scheme: "unix", Path: filepath.Join(s.dir, "etcd.sock")}
}

func (s *Server) startEtcd(ctx context.Context) error {
	client := s.etcdSocket()
	// The limit of the kernel, which answers "invalid argument" and no more.
	if n := len(client.Path); n > 103 {
		return fmt.Errorf("the path of the etcd socket, %s, has %d bytes; want 103 at most: set TMPDIR to a shorter one", client.Path, n)
	}
	// A server that was killed has left its socket.
	if err := os.Remove(client.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(s.dir, "data")
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	// A single member must have a peer URL but need not listen on it.
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{{Scheme: "unix", Path: filepath.Join(s.dir, "no-peer.sock")}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	cfg.UnsafeNoFsync = true             // the data need not outlive the machine
	cfg.TickMs, cfg.ElectionMs = 10, 100 // a single member elects itself at once

	var err error
	if s.etcd, err = embed.StartEtcd(cfg); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case err := <-s.etcd.Err():
		return fmt.Errorf("etcd: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) startAPIServer(ctx context.Context, port int) error {
	etcd := genericoptions.NewEtcdOptions(storagebackend.NewDefaultConfig("/registry",
		apiserver.Codecs.LegacyCodec(apiextensionsv1.SchemeGroupVersion)))
	socket := s.etcdSocket()
	etcd.StorageConfig.Transport.ServerList = []string{socket.String()}

	loopback := net.IPv4(127, 0, 0, 1)
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback.String(), strconv.Itoa(port)))
	if err != nil {
		return err
	}
	serving := genericoptions.NewSecureServingOptions().WithLoopback()
	serving.BindAddress, serving.Listener = loopback, listener
	serving.BindPort = listener.Addr().(*net.TCPAddr).Port
	serving.ServerCert.CertDirectory = s.dir // made once, then used again
	if err := serving.MaybeDefaultWithSelfSignedCerts("localhost", nil, nil); err != nil {
		return errors.Join(err, listener.Close())
	}
	certificate, err := os.ReadFile(serving.ServerCert.CertKey.CertFile)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	token, err := s.token()
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	cfg := genericapiserver.NewRecommendedConfig(apiserver.Codecs)
	cfg.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	cfg.MergedResourceConfig = apiserver.DefaultAPIResourceConfigSource()
	cfg.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(
		generatedopenapi.GetOpenAPIDefinitions, openapinamer.NewDefinitionNamer(apiserver.Scheme, scheme.Scheme))
	cfg.Authentication.Authenticator = authenticatorfactory.NewFromTokens(map[string]*user.DefaultInfo{
		token: {Name: "admin", Groups: []string{user.AllAuthenticated, user.SystemPrivilegedGroup}},
	}, nil)
	cfg.Authorization.Authorizer = authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup)
	// /apis is the aggregator's to answer, which is not here.
	var discovery http.Handler
	cfg.BuildHandlerChainFunc = func(next http.Handler, c *genericapiserver.Config) http.Handler {
		return genericapiserver.DefaultBuildHandlerChain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/apis" {
				discovery.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r)
		}), c)
	}
	if err := errors.Join(etcd.ApplyTo(&cfg.Config), serving.ApplyToConfig(&cfg.Config)); err != nil {
		return errors.Join(err, listener.Close())
	}
	server, err := (&apiserver.Config{
		GenericConfig: cfg,
		ExtraConfig: apiserver.ExtraConfig{
			CRDRESTOptionsGetter: serveroptions.NewCRDRESTOptionsGetter(*etcd, cfg.ResourceTransformers, cfg.StorageObjectCountTracker),
			MasterCount:          1,
		},
	}).Complete().New(genericapiserver.NewEmptyDelegate())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	generic := server.GenericAPIServer
	discovery = discoveryendpoint.WrapAggregatedDiscoveryToHandler(
		generic.DiscoveryGroupManager, generic.AggregatedDiscoveryGroupManager, nil)

	s.Config = &rest.Config{
		Host:            "https://" + listener.Addr().String(),
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: certificate},
	}
	adapt(s.Config)

	var run context.Context
	run, s.cancel = context.WithCancel(context.Background())
	s.exited = make(chan error, 1)
	go func() { s.exited <- generic.PrepareRun().RunWithContext(run) }()
	return errors.Join(s.waitReady(ctx), ctx.Err())
}

// token returns the token of the directory, a new one if it has none.
func (s *Server) token() (string, error) {
	path := filepath.Join(s.dir, "token")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(text) == 0 { // killed before it was written
		text = []byte(rand.Text())
		err = os.WriteFile(path, text, 0o600)
	}
	return string(text), err
}

// waitReady waits for /readyz, also when ctx is cancelled: a server that is
// stopped before its post-start hooks are done ends the whole process (a
// klog.Fatal of k8s.io/apiserver). It takes less than a second.
func (s *Server) waitReady(ctx context.Context) error {
	client, err := rest.UnversionedRESTClientFor(unversioned(s.Config))
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(context.WithoutCancel(ctx), 20*time.Millisecond, time.Minute, true,
		func(ctx context.Context) (bool, error) {
			select {
			case err := <-s.exited:
				s.exited <- nil // for Stop
				return false, fmt.Errorf("API server: %w", err)
			default:
				return client.Get().AbsPath("/readyz").Do(ctx).Error() == nil, nil
			}
		})
}

// unversioned is cfg for paths that belong to no API group.
func unversioned(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	return cfg
}
