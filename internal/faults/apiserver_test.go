package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"k8s.io/utils/clock"

	"github.com/requeue-go/requeue/examples/promotion/controller"
	"github.com/requeue-go/requeue/examples/promotion/kubeapi"
	"github.com/requeue-go/requeue/examples/promotion/process"
)

// serverConfig configures runServer.
type serverConfig struct {
	Dir  string
	Port int
}

// runServer is the part that runs etcd and an API server. It says where that is.
func runServer(ctx context.Context, config json.RawMessage, tell func(any)) error {
	process.SetLogger(false)
	var c serverConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	server, err := kubeapi.StartIn(ctx, c.Dir, c.Port)
	if err != nil {
		return err
	}
	err = errors.Join(install(ctx, server), server.WriteKubeconfig(kubeconfigIn(c.Dir)))
	if err == nil {
		tell(server.Config.Host)
		<-ctx.Done()
	}
	return errors.Join(err, server.Stop())
}

// runAPIServer kills etcd and the API server together, and starts them again on the same
// data, port, token and certificate.
//
// The bound is twice the longest time without them: a deadline that passes meanwhile is
// tried again by the rate limiter, which doubles the wait, and so by the time that is gone
// since at most.
func runAPIServer(ctx context.Context, s Scale, progress func(string)) (Report, error) {
	return inDirectory(func(dir string) (r Report, err error) {
		server, host, err := startServer(dir, 0)
		if err != nil {
			return r, err
		}
		defer func() {
			if ctx.Err() != nil {
				server.Kill() // it would wait a minute for requests that it has
				return
			}
			err = errors.Join(err, server.Stop())
		}()
		port, err := strconv.Atoi(host.Port())
		if err != nil {
			return r, err
		}
		cfg, err := kubeapi.LoadKubeconfig(kubeconfigIn(dir))
		if err != nil {
			return r, err
		}
		return on(ctx, cfg, progress, func(w *world) (Report, error) {
			reconciler := &controller.Reconciler{Interval: poll}
			if err := w.control(cfg, reconciler, workers, nil); err != nil {
				return r, err
			}
			if err := w.populate("p", s.Promotions, 0, s.Spread); err != nil {
				return r, err
			}
			var longest time.Duration
			for i := range s.Times {
				if err := w.share(100 * (i + 1) / (s.Times + 2)); err != nil {
					return r, err
				}
				progress(fmt.Sprintf("kill -9 of API server and etcd, %d of %d", i+1, s.Times))
				server.Kill()
				killed := time.Now()
				if err := w.sleep(s.Down); err != nil {
					return r, err
				}
				again, _, err := startServer(dir, port)
				if err != nil {
					return r, err
				}
				server = again
				down := time.Since(killed)
				longest = max(longest, down)
				progress(fmt.Sprintf("API server and etcd are back after %v", down.Round(time.Millisecond)))
				// Each is to be a fault of its own.
				if err := w.caughtUp(clock.RealClock{}); err != nil {
					return r, err
				}
			}
			return w.count(map[string]int{"kill -9 of API server and etcd": s.Times}, 2*longest+slack, nil)
		})
	})
}

// startServer starts an API server in a process, and returns when it is ready.
func startServer(dir string, port int) (*process.Process, *url.URL, error) {
	p, err := process.Start("server", serverConfig{dir, port}, dir)
	if err != nil {
		return nil, nil, err
	}
	text, ok := <-p.Messages
	if !ok {
		return nil, nil, errors.New("the API server ended by itself")
	}
	var host string
	if err := json.Unmarshal(text, &host); err != nil {
		return nil, nil, errors.Join(err, p.Stop())
	}
	at, err := url.Parse(host)
	if err != nil {
		return nil, nil, errors.Join(err, p.Stop())
	}
	return p, at, nil
}
