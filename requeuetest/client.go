package requeuetest

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

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
	w.Client = w.clientOf(nil, nil)
	for _, obj := range w.o.Objects {
		if err := w.follow(w.keyOf(obj).kind); err != nil {
			w.t.Fatalf("requeuetest: %s in Options.Objects: %v", w.nameOf(obj), err)
		}
	}
}

// withStatus returns an object of each kind that has a field Status.
func withStatus(s *apiruntime.Scheme) (objects []client.Object) {
	for _, t := range s.AllKnownTypes() {
		if field, ok := t.FieldByName("Status"); ok && field.Type.Kind() == reflect.Struct {
			if obj, ok := reflect.New(t).Interface().(client.Object); ok {
				objects = append(objects, obj)
			}
		}
	}
	return objects
}

// clientOf returns the client of a process; that of the test if it is nil. It reads from the
// cache what the client of a manager reads from there.
func (w *World) clientOf(p *process, cache *client.CacheOptions) client.WithWatch {
	call := func(ctx context.Context, writes client.Object, f func() error) error {
		if err := w.begin(ctx, p); err != nil {
			return err
		}
		if writes != nil {
			_ = w.follow(w.keyOf(writes).kind) // what fails there fails here, too
			defer runtime.Gosched()            // the fake watch holds 100 events, and panics at the next
		}
		return f()
	}
	change := func(ctx context.Context, obj client.Object, same func() bool, f func() error) error {
		return call(ctx, obj, func() error {
			if err := w.conflict(p, obj); err != nil || same() {
				return err
			}
			return f()
		})
	}
	never := func() bool { return false }
	return interceptor.NewClient(w.base, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if w.cached(cache, obj) {
				return cache.Reader.Get(ctx, key, obj, opts...)
			}
			return call(ctx, nil, func() error { return c.Get(ctx, key, obj, opts...) })
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if w.cached(cache, list) {
				return cache.Reader.List(ctx, list, opts...)
			}
			return call(ctx, nil, func() error { return c.List(ctx, list, opts...) })
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			return call(ctx, obj, func() error { return c.Create(ctx, obj, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			return change(ctx, obj, never, func() error { return c.Delete(ctx, obj, opts...) })
		},
		DeleteAllOf: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteAllOfOption) error {
			return call(ctx, obj, func() error { return c.DeleteAllOf(ctx, obj, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			same := func() bool { return w.unchanged(obj, false) }
			return change(ctx, obj, same, func() error { return c.Update(ctx, obj, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			same := func() bool { return w.empty(obj, patch) }
			return change(ctx, obj, same, func() error { return c.Patch(ctx, obj, patch, opts...) })
		},
		Apply: func(ctx context.Context, c client.WithWatch, obj apiruntime.ApplyConfiguration, opts ...client.ApplyOption) error {
			return change(ctx, applied(obj), never, func() error { return c.Apply(ctx, obj, opts...) })
		},
		SubResourceGet: func(ctx context.Context, c client.Client, name string, obj, sub client.Object, opts ...client.SubResourceGetOption) error {
			return call(ctx, nil, func() error { return c.SubResource(name).Get(ctx, obj, sub, opts...) })
		},
		SubResourceCreate: func(ctx context.Context, c client.Client, name string, obj, sub client.Object, opts ...client.SubResourceCreateOption) error {
			return call(ctx, obj, func() error { return c.SubResource(name).Create(ctx, obj, sub, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, name string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
			same := func() bool { return name == "status" && len(opts) == 0 && w.unchanged(obj, true) }
			return change(ctx, obj, same, func() error { return c.SubResource(name).Update(ctx, obj, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, name string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			same := func() bool { return w.empty(obj, patch) }
			return change(ctx, obj, same, func() error { return c.SubResource(name).Patch(ctx, obj, patch, opts...) })
		},
		SubResourceApply: func(ctx context.Context, c client.Client, name string, obj apiruntime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
			return change(ctx, applied(obj), never, func() error { return c.SubResource(name).Apply(ctx, obj, opts...) })
		},
	})
}

// begin lets a call of a process take its time. One that has ended carries out nothing.
func (w *World) begin(ctx context.Context, p *process) error {
	if p == nil {
		return nil
	}
	w.mu.Lock()
	latency := w.latency
	w.mu.Unlock()
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
		}
	}
	if p.ctx.Err() != nil {
		return errors.New("requeuetest: the process has ended")
	}
	return ctx.Err()
}

// conflict refuses a change by a process, if the test wants that.
func (w *World) conflict(p *process, obj client.Object) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p == nil || w.refuse == 0 {
		return nil
	}
	w.refuse--
	kind := w.keyOf(obj).kind
	resource := schema.GroupResource{Group: kind.Group, Resource: strings.ToLower(kind.Kind)}
	return apierrors.NewConflict(resource, obj.GetName(), errors.New("the test wants a conflict (requeuetest)"))
}

// cached says whether an object or a list is read from the cache.
func (w *World) cached(o *client.CacheOptions, obj apiruntime.Object) bool {
	if o == nil || o.Reader == nil {
		return false
	}
	kind, err := apiutil.GVKForObject(obj, w.scheme)
	kind.Kind = strings.TrimSuffix(kind.Kind, "List")
	for _, obj := range o.DisableFor {
		if live, _ := apiutil.GVKForObject(obj, w.scheme); live == kind {
			return false
		}
	}
	_, unstructured := obj.(apiruntime.Unstructured)
	return err == nil && (!unstructured || o.Unstructured)
}

// applied returns an object with the kind and the name of what is applied.
func applied(c apiruntime.ApplyConfiguration) client.Object {
	obj := &metav1.PartialObjectMetadata{}
	if data, err := json.Marshal(c); err == nil {
		_ = json.Unmarshal(data, obj) // else the fake client says what is wrong
	}
	return obj
}

// unchanged says whether an update, or one of the status, would change nothing. An API server
// then writes nothing and sends no event; the fake client does both. Nor does that count the
// generation of a spec.
func (w *World) unchanged(obj client.Object, status bool) bool {
	stored := obj.DeepCopyObject().(client.Object)
	if w.base.Get(context.Background(), client.ObjectKeyFromObject(obj), stored) != nil {
		return false
	}
	if is := obj.GetResourceVersion(); is != "" && is != stored.GetResourceVersion() {
		return false // it conflicts
	}
	was, wanted := contentOf(stored), contentOf(obj)
	if was != nil && (status && reflect.DeepEqual(was["status"], wanted["status"]) || reflect.DeepEqual(was, wanted)) {
		reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(stored).Elem()) // what is returned
		return true
	}
	if !status && !reflect.DeepEqual(was["spec"], wanted["spec"]) {
		obj.SetGeneration(stored.GetGeneration() + 1)
	}
	return false
}

// contentOf returns the fields of an object but those that a writer need not have.
func contentOf(obj client.Object) map[string]any {
	content, _ := apiruntime.DefaultUnstructuredConverter.ToUnstructured(obj) // nil if it has no such form
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(schema.GroupVersionKind{})
	u.SetResourceVersion("")
	u.SetManagedFields(nil)
	return content
}

// empty says whether a patch would change nothing. The object is then what is stored.
func (w *World) empty(obj client.Object, patch client.Patch) bool {
	data, err := patch.Data(obj)
	return err == nil && string(data) == "{}" && patch.Type() != types.ApplyPatchType &&
		w.base.Get(context.Background(), client.ObjectKeyFromObject(obj), obj) == nil
}
