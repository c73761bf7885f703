package faults

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// toy is a proxy in front of a server that counts its requests.
func toy(t *testing.T, serve http.HandlerFunc) *proxy {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	p, err := newProxy(&rest.Config{Host: server.URL}, 1)
	require.NoError(t, err)
	t.Cleanup(p.close)
	return p
}

func TestProxy_draw(t *testing.T) {
	p := toy(t, nil)
	patch := httptest.NewRequest(http.MethodPatch, "/p", nil)
	row := 0
	for range 10000 {
		if fault := p.draw(patch); fault == "" || fault == delayed {
			row = 0
		} else {
			row++
		}
		require.LessOrEqual(t, row, inARow)
	}
	for _, kind := range []string{delayed, dropped, lostAnswer, conflict, internal} {
		assert.Greater(t, p.injected()[kind], 100, kind)
	}
	get := httptest.NewRequest(http.MethodGet, "/p", nil)
	for range 1000 {
		assert.Contains(t, []string{"", delayed}, p.draw(get))
	}
}

// A client takes what is refused as the answer of an API server, a request whose answer is
// lost was served all the same, and one that was dropped was not.
func TestProxy_faults(t *testing.T) {
	served := 0
	p := toy(t, func(http.ResponseWriter, *http.Request) { served++ })
	c, err := rest.UnversionedRESTClientFor(&rest.Config{Host: p.address, QPS: -1,
		ContentConfig: rest.ContentConfig{NegotiatedSerializer: scheme.Codecs.WithoutConversion()}})
	require.NoError(t, err)
	for p.injected()[conflict] == 0 || p.injected()[internal] == 0 || p.injected()[lostAnswer] == 0 || p.injected()[dropped] == 0 {
		before, servedBefore := p.injected(), served
		err := c.Put().AbsPath("/p").MaxRetries(0).Do(t.Context()).Error()
		after := p.injected()
		switch {
		case after[conflict] > before[conflict]:
			assert.True(t, apierrors.IsConflict(err), err)
			assert.Equal(t, servedBefore, served)
		case after[internal] > before[internal]:
			assert.True(t, apierrors.IsInternalError(err), err)
			assert.Equal(t, servedBefore, served)
		case after[lostAnswer] > before[lostAnswer]:
			assert.ErrorContains(t, err, "EOF")
			assert.Equal(t, servedBefore+1, served)
		case after[dropped] > before[dropped]:
			assert.ErrorContains(t, err, "EOF")
			assert.Equal(t, servedBefore, served)
		default:
			assert.NoError(t, err)
		}
	}
}

func TestProxy_cutWatches(t *testing.T) {
	p := toy(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	answer, err := http.Get(p.address + "/p?watch=1")
	require.NoError(t, err)
	defer func() { assert.NoError(t, answer.Body.Close()) }()
	first := make([]byte, len("first"))
	_, err = io.ReadFull(answer.Body, first)
	require.NoError(t, err)
	p.cutWatches()
	_, err = io.ReadAll(answer.Body)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.Equal(t, 1, p.injected()[cut])
	assert.Equal(t, 1, p.injected()[lagging])
}
