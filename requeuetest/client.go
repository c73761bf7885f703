package requeuetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// objectKey is an object of the API server.
type objectKey struct {
	kind schema.GroupVersionKind
	name types.NamespacedName
}

// version is what became of an object at an instant; nil if it was deleted.
type version struct {
	at  time.Time
	obj client.Object
}

// serve makes the fake API server.
func (w *World) serve() {
	w.t.Helper()
	builder := w.o.Client
	if builder == nil {
		s := w.o.Manager.Scheme
		if s == nil {
			s = scheme.Scheme
		}
		builder = fake.NewClientBuilder().WithScheme(s).WithStatusSubresource(withStatus(s)...)
	}
	w.base = builder.WithObjects(w.o.Objects...).Build()
	w.scheme = w.base.Scheme()
	w.Client = interceptor.NewClient(w.base, w.callsOf(func(context.Context) error { return nil }, func(client.Object) error { return nil }))
	for _, obj := range w.o.Objects {
		w.record(obj)
	}
}

// withStatus returns an object of each kind that has a field Status.
func withStatus(s *apiruntime.Scheme) (objects []client.Object) {
	for kind, t := range s.AllKnownTypes() {
		if field, ok := t.FieldByName("Status"); !ok || field.Type.Kind() != reflect.Struct || kind.Version == apiruntime.APIVersionInternal {
			continue
		}
		if obj, err := s.New(kind); err == nil {
			if obj, ok := obj.(client.Object); ok {
				objects = append(objects, obj)
			}
		}
	}
	return objects
}

// clientOf returns the client of a process: each call takes its time, writes may be refused, and
// after the end of the process nothing is carried out.
func (w *World) clientOf(p *process) client.WithWatch {
	call := func(ctx context.Context) error {
		w.mu.Lock()
		latency := w.latency
		w.mu.Unlock()
		if latency > 0 {
			timer := time.NewTimer(latency)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
			case <-p.ctx.Done():
			}
		}
		if p.ctx.Err() != nil {
			return errors.New("requeuetest: the process has ended")
		}
		return ctx.Err()
	}
	change := func(obj client.Object) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.refuse == 0 {
			return nil
		}
		w.refuse--
		kind, _ := apiutil.GVKForObject(obj, w.scheme)
		resource := schema.GroupResource{Group: kind.Group, Resource: strings.ToLower(kind.Kind)}
		return apierrors.NewConflict(resource, obj.GetName(), errors.New("the test wants a conflict (requeuetest)"))
	}
	return interceptor.NewClient(w.base, w.callsOf(call, change))
}

// callsOf calls the fake client after call, and after change if that changes an object that
// there is, and records what it has done.
func (w *World) callsOf(call func(context.Context) error, change func(client.Object) error) interceptor.Funcs {
	do := func(ctx context.Context, obj client.Object, changes bool, f func() error) error {
		if err := call(ctx); err != nil {
			return err
		}
		if changes {
			if err := change(obj); err != nil {
				return err
			}
		}
		if err := f(); err != nil {
			return err
		}
		w.record(obj)
		return nil
	}
	return interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if err := call(ctx); err != nil {
				return err
			}
			return c.Get(ctx, key, obj, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if err := call(ctx); err != nil {
				return err
			}
			return c.List(ctx, list, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			return do(ctx, obj, false, func() error { return c.Create(ctx, obj, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			return do(ctx, obj, true, func() error { return c.Delete(ctx, obj, opts...) })
		},
		DeleteAllOf: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteAllOfOption) error {
			return do(ctx, nil, false, func() error { return c.DeleteAllOf(ctx, obj, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			return do(ctx, obj, true, func() error {
				if w.unchanged(obj, true) {
					return nil
				}
				return c.Update(ctx, obj, opts...)
			})
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			return do(ctx, obj, true, func() error {
				if empty(obj, patch) {
					return c.Get(ctx, client.ObjectKeyFromObject(obj), obj)
				}
				return c.Patch(ctx, obj, patch, opts...)
			})
		},
		Apply: func(ctx context.Context, c client.WithWatch, obj apiruntime.ApplyConfiguration, opts ...client.ApplyOption) error {
			return do(ctx, nil, false, func() error { return c.Apply(ctx, obj, opts...) })
		},
		SubResourceGet: func(ctx context.Context, c client.Client, name string, obj, sub client.Object, opts ...client.SubResourceGetOption) error {
			if err := call(ctx); err != nil {
				return err
			}
			return c.SubResource(name).Get(ctx, obj, sub, opts...)
		},
		SubResourceCreate: func(ctx context.Context, c client.Client, name string, obj, sub client.Object, opts ...client.SubResourceCreateOption) error {
			return do(ctx, obj, false, func() error { return c.SubResource(name).Create(ctx, obj, sub, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, name string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
			return do(ctx, obj, true, func() error {
				if name == "status" && len(opts) == 0 && w.unchanged(obj, false) {
					return nil
				}
				return c.SubResource(name).Update(ctx, obj, opts...)
			})
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, name string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			return do(ctx, obj, true, func() error {
				if empty(obj, patch) {
					return c.Get(ctx, client.ObjectKeyFromObject(obj), obj)
				}
				return c.SubResource(name).Patch(ctx, obj, patch, opts...)
			})
		},
		SubResourceApply: func(ctx context.Context, c client.Client, name string, obj apiruntime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
			return do(ctx, nil, false, func() error { return c.SubResource(name).Apply(ctx, obj, opts...) })
		},
	}
}

// unchanged says whether an update would change nothing. An API server then writes nothing and
// sends no event; the fake client does both. Nor does that count the generation of a spec.
func (w *World) unchanged(obj client.Object, spec bool) bool {
	stored := obj.DeepCopyObject().(client.Object)
	if w.base.Get(context.Background(), client.ObjectKeyFromObject(obj), stored) != nil {
		return false
	}
	version := stored.GetResourceVersion()
	if is := obj.GetResourceVersion(); is != "" && is != version {
		return false // it conflicts
	}
	update := obj.DeepCopyObject().(client.Object)
	update.SetResourceVersion(version)
	update.SetManagedFields(stored.GetManagedFields())
	update.GetObjectKind().SetGroupVersionKind(stored.GetObjectKind().GroupVersionKind())
	is, err := json.Marshal(stored)
	if err != nil {
		return false
	}
	wanted, err := json.Marshal(update)
	if err != nil || !bytes.Equal(is, wanted) {
		if spec && !bytes.Equal(specOf(is), specOf(wanted)) {
			obj.SetGeneration(stored.GetGeneration() + 1)
		}
		return false
	}
	obj.SetResourceVersion(version)
	return true
}

// specOf returns the spec of an object, nil if it has none.
func specOf(object []byte) []byte {
	var fields struct{ Spec json.RawMessage }
	_ = json.Unmarshal(object, &fields) // it was marshalled here
	return fields.Spec
}

// empty says whether a patch would change nothing.
func empty(obj client.Object, patch client.Patch) bool {
	data, err := patch.Data(obj)
	return err == nil && string(data) == "{}" && patch.Type() != types.ApplyPatchType
}

// record notes what has become of an object; of all that are known, if it is nil.
func (w *World) record(obj client.Object) {
	defer runtime.Gosched() // the fake watch holds 100 events, and panics at the next
	w.mu.Lock()
	defer w.mu.Unlock()
	var keys []objectKey
	if obj != nil {
		keys = append(keys, w.keyOf(obj))
	} else {
		for key := range w.history {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		is, err := w.scheme.New(key.kind)
		if err != nil {
			continue // of no type that a test could ask about
		}
		v := version{at: time.Now()}
		switch err := w.base.Get(context.Background(), key.name, is.(client.Object)); {
		case err == nil:
			v.obj = is.(client.Object)
		case !apierrors.IsNotFound(err):
			continue
		}
		w.history[key] = append(w.history[key], v)
	}
	w.wake()
}

func (w *World) keyOf(obj client.Object) objectKey {
	kind, _ := apiutil.GVKForObject(obj, w.scheme) // a zero kind is not in the scheme
	return objectKey{kind, client.ObjectKeyFromObject(obj)}
}

// cachedClient reads from the cache what the client of a manager reads from there.
type cachedClient struct {
	client.WithWatch
	cache *client.CacheOptions
	live  map[schema.GroupVersionKind]bool
}

func newCachedClient(c client.WithWatch, o *client.CacheOptions) (client.Client, error) {
	if o == nil || o.Reader == nil {
		return c, nil
	}
	cached := &cachedClient{c, o, map[schema.GroupVersionKind]bool{}}
	for _, obj := range o.DisableFor {
		kind, err := c.GroupVersionKindFor(obj)
		if err != nil {
			return nil, err
		}
		cached.live[kind] = true
	}
	return cached, nil
}

// reader returns what reads an object or a list of them.
func (c *cachedClient) reader(obj apiruntime.Object) client.Reader {
	kind, err := c.GroupVersionKindFor(obj)
	kind.Kind = strings.TrimSuffix(kind.Kind, "List")
	_, unstructured := obj.(apiruntime.Unstructured)
	if err != nil || c.live[kind] || unstructured && !c.cache.Unstructured {
		return c.WithWatch
	}
	return c.cache.Reader
}

// Get implements client.Reader.
func (c *cachedClient) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	return c.reader(obj).Get(ctx, key, obj, opts...)
}

// List implements client.Reader.
func (c *cachedClient) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return c.reader(list).List(ctx, list, opts...)
}
