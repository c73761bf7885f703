package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/requeue-go/requeue/examples/promotion/controller"
)

const (
	// delay is how long a request waits that is delayed, and an answer that is lost. Each part
	// of a watch is held back as long, so an event is seen after twice that at most.
	delay = time.Second
	// proxied is how many workers there are, as most of them wait for a delayed answer.
	proxied = 2 * workers
	// inARow is how often the requests for one path fail one after the other at most.
	inARow = 3
	// reflectorBackoff is what client-go's reflector waits, at most, before it watches
	// again after its first watch has ended: 0.8 s, and up to as much by chance. It
	// doubles each time.
	reflectorBackoff = 1600 * time.Millisecond
)

// Kinds of faults of a network.
const (
	delayed    = "delay by 1 s"
	dropped    = "connection dropped before the request"
	lostAnswer = "connection dropped before the answer"
	conflict   = "409"
	internal   = "500"
	lagging    = "watch held back by 1 s"
	cut        = "watch cut"
)

// runNetwork runs a controller behind a proxy that fails from the start. The watch that
// counts does not go through it.
//
// When the answer to a write is lost, the controller tries again, and its watch still has
// the object as it was before. It must not act twice all the same: the resourceVersion
// that it sends is an old one. A second write would be seen, as its time is another second.
//
// The bound is made of two spans. A write fails so many times in a row at most, and each
// try is delayed at most once. And while a watch is cut, and then waits to be made again,
// the controller sees an old object, and its writes are refused: by then the rate limiter
// has doubled its wait to that span at most.
func runNetwork(ctx context.Context, s Scale, progress func(string)) (Report, error) {
	return inWorld(ctx, progress, func(w *world, _ string) (Report, error) {
		p, err := newProxy(w.cfg, 1)
		if err != nil {
			return Report{}, err
		}
		defer p.close()
		cfg := rest.CopyConfig(w.cfg)
		cfg.Host, cfg.TLSClientConfig = p.address, rest.TLSClientConfig{}
		reconciler := &controller.Reconciler{Interval: poll}
		if err := w.control(cfg, reconciler, proxied, nil); err != nil {
			return Report{}, err
		}
		// Each third waits, and those that fail are tried again.
		start := time.Duration(s.Promotions) * delay / 3 / proxied
		if err := w.populate("p", s.Promotions, start, s.Spread); err != nil {
			return Report{}, err
		}
		for i := range s.Cuts {
			if err := w.share(100 * (i + 1) / (s.Cuts + 2)); err != nil {
				return Report{}, err
			}
			progress(fmt.Sprintf("the watches are cut, %d of %d", i+1, s.Cuts))
			p.cutWatches()
		}
		away := reflectorBackoff<<(s.Cuts-1) + 4*delay
		r, err := w.count(nil, 2*away+(inARow+1)*delay+slack, nil)
		r.Faults = p.injected()
		return r, err
	})
}

// proxy is between a controller and the API server, on loopback.
type proxy struct {
	address string
	server  *http.Server
	forward *httputil.ReverseProxy

	mu      sync.Mutex // guards all below
	random  *rand.Rand
	faults  map[string]int
	failing map[string]int // by path, in a row
	watches map[*http.Request]context.CancelFunc
}

func newProxy(cfg *rest.Config, seed uint64) (*proxy, error) {
	target, err := url.Parse(cfg.Host)
	if err != nil {
		return nil, err
	}
	// Who has no token has none behind the proxy either.
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(cfg))
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{
		address: "http://" + listener.Addr().String(),
		random:  rand.New(rand.NewPCG(seed, seed)),
		faults:  map[string]int{}, failing: map[string]int{}, watches: map[*http.Request]context.CancelFunc{},
	}
	p.forward = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1, // at once, as of a watch
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = &http.Server{Handler: p}
	go func() { _ = p.server.Serve(listener) }() // until close
	return p, nil
}

func (p *proxy) close() { _ = p.server.Close() }

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("watch") {
		var done func()
		r, done = p.watching(r)
		defer done()
		w = &late{w, p}
	}
	switch p.draw(r) {
	case delayed:
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
		}
	case dropped:
		panic(http.ErrAbortHandler)
	case lostAnswer:
		p.forward.ServeHTTP(&nowhere{http.Header{}}, r)
		time.Sleep(delay)
		panic(http.ErrAbortHandler)
	case conflict:
		refuse(w, http.StatusConflict, metav1.StatusReasonConflict)
		return
	case internal:
		refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError)
		return
	}
	p.forward.ServeHTTP(w, r)
}

// draw decides what goes wrong with a request, "" is nothing. What reads is delayed and no
// more; watches are cut.
func (p *proxy) draw(r *http.Request) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	fault, x := "", p.random.Float64()
	writes := r.Method != http.MethodGet && p.failing[r.URL.Path] < inARow
	switch {
	case x < 0.20:
		fault = delayed
	case !writes:
	case x < 0.25:
		fault = dropped
	case x < 0.35:
		fault = lostAnswer
	case x < 0.45:
		fault = conflict
	case x < 0.50:
		fault = internal
	}
	switch fault {
	case "", delayed:
		delete(p.failing, r.URL.Path)
	default:
		p.failing[r.URL.Path]++
	}
	if fault != "" {
		p.faults[fault]++
	}
	return fault
}

// watching is a request that is cut by cutWatches, until done is called.
func (p *proxy) watching(r *http.Request) (_ *http.Request, done func()) {
	ctx, cancel := context.WithCancel(r.Context())
	r = r.WithContext(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watches[r] = cancel
	return r, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watches, r)
		cancel()
	}
}

func (p *proxy) cutWatches() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cancel := range p.watches {
		p.faults[cut]++
		cancel()
	}
}

func (p *proxy) inject(fault string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[fault]++
}

func (p *proxy) injected() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.faults)
}

// late is the answer to a watch, which lags.
type late struct {
	http.ResponseWriter
	proxy *proxy
}

// Unwrap is for http.ResponseController, which flushes.
func (l *late) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// Write implements http.ResponseWriter.
func (l *late) Write(part []byte) (int, error) {
	l.proxy.inject(lagging)
	time.Sleep(delay)
	return l.ResponseWriter.Write(part)
}

// refuse answers as an API server does.
func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	text, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Message: "injected", Reason: reason, Code: int32(code),
	})
	if err != nil {
		panic(errors.Join(http.ErrAbortHandler, err))
	}
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	w.WriteHeader(code)
	_, _ = w.Write(text) // an error is a client that is gone
}

// nowhere is an answer that is lost.
type nowhere struct{ header http.Header }

// Header implements http.ResponseWriter.
func (n *nowhere) Header() http.Header { return n.header }

// Write implements http.ResponseWriter.
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader implements http.ResponseWriter.
func (n *nowhere) WriteHeader(int) {}
