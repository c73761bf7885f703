package requeuetest

import (
	"context"
	"encoding/json"
	"math"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// objectKey is an object of the API server.
type objectKey struct {
	kind schema.GroupVersionKind
	name types.NamespacedName
}

func (w *World) keyOf(obj client.Object) objectKey {
	kind, _ := apiutil.GVKForObject(obj, w.scheme) // a zero kind is not in the scheme
	return objectKey{kind, client.ObjectKeyFromObject(obj)}
}

// change is what became of an object at an instant.
type change struct {
	key  objectKey
	at   time.Time
	due  time.Time // when the cache learns of it, unless an earlier one is due later
	gone bool      // it was deleted
	data []byte    // the object in JSON, the last that there was if it is gone
}

// into copies the object into one of any type that its kind may have. The kind in that stays: a
// typed object has none in a cache, as in production.
func (c change) into(obj client.Object) {
	kind := obj.GetObjectKind().GroupVersionKind()
	reflect.ValueOf(obj).Elem().SetZero()
	_ = json.Unmarshal(c.data, obj) // it is JSON of that kind
	obj.GetObjectKind().SetGroupVersionKind(kind)
}

// follow has the changes of a kind noted from now on. It is called before the kind is written
// to, so that nothing is missed.
func (w *World) follow(kind schema.GroupVersionKind) error {
	w.following <- struct{}{} // no mutex, as who waits for one keeps virtual time from going on
	defer func() { <-w.following }()
	if w.watches[kind] != nil || kind.Empty() {
		return nil
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	changes, err := w.base.Watch(context.Background(), list)
	if err != nil {
		return err
	}
	if err := w.base.List(context.Background(), list); err != nil {
		changes.Stop()
		return err
	}
	w.watches[kind] = changes
	for i := range list.Items {
		w.changes(kind, watch.Event{Type: watch.Added, Object: &list.Items[i]})
	}
	go func() {
		for e := range changes.ResultChan() {
			w.changes(kind, e)
		}
	}()
	return nil
}

// changes notes a change.
func (w *World) changes(kind schema.GroupVersionKind, e watch.Event) {
	obj := e.Object.(client.Object) // the fake client sends no errors
	obj.GetObjectKind().SetGroupVersionKind(kind)
	data, err := json.Marshal(obj)
	if err != nil {
		w.breaks("cannot read %v %v: %v", kind, client.ObjectKeyFromObject(obj), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	c := change{objectKey{kind, client.ObjectKeyFromObject(obj)}, now, now.Add(w.lag), e.Type == watch.Deleted, data}
	w.history = append(w.history, c)
	if w.stored[c.key] = c; c.gone {
		delete(w.stored, c.key)
	}
	w.wake()
}

// newInformers makes the informers of the cache. The resync of controller-runtime has a random
// part, and is replaced.
func (w *World) newInformers(resync time.Duration) func(toolscache.ListerWatcher, apiruntime.Object, time.Duration, toolscache.Indexers) toolscache.SharedIndexInformer {
	return func(_ toolscache.ListerWatcher, obj apiruntime.Object, _ time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
		kind, _ := apiutil.GVKForObject(obj, w.scheme) // the cache has looked it up, too
		return informer{toolscache.NewSharedIndexInformer(&feed{w: w, kind: kind, obj: obj}, obj, resync, indexers), time.Now()}
	}
}

// informer is one that syncs at a certain instant. controller-runtime asks at once and then every
// 100 ms whether it has synced, and then the same of its handler. An informer never has at first,
// and always has by the next time; a handler has when it is added, 100 ms later. Else the first
// look would be at one of several instants.
type informer struct {
	toolscache.SharedIndexInformer
	made time.Time
}

// HasSynced implements toolscache.SharedInformer.
func (i informer) HasSynced() bool {
	return time.Now().After(i.made) && i.SharedIndexInformer.HasSynced()
}

// AddEventHandlerWithOptions implements toolscache.SharedInformer.
func (i informer) AddEventHandlerWithOptions(h toolscache.ResourceEventHandler, o toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	defer time.Sleep(100 * time.Millisecond)
	return i.SharedIndexInformer.AddEventHandlerWithOptions(h, o)
}

// feed lists and watches the objects of a kind, from the history of the World.
type feed struct {
	w    *World
	kind schema.GroupVersionKind
	obj  apiruntime.Object // of the type that the informer holds
	read int               // so much of the history
}

// IsWatchListSemanticsUnSupported has client-go list, as the feed streams no lists.
func (*feed) IsWatchListSemanticsUnSupported() bool { return true }

// List implements toolscache.ListerWatcher.
func (f *feed) List(metav1.ListOptions) (apiruntime.Object, error) {
	if err := f.w.follow(f.kind); err != nil {
		return nil, err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.read = len(f.w.history)
	list := &metav1.List{}
	for key, c := range f.w.stored {
		if key.kind == f.kind {
			list.Items = append(list.Items, apiruntime.RawExtension{Object: f.convert(c)})
		}
	}
	return list, nil
}

// convert returns a changed object as the informer holds it.
func (f *feed) convert(c change) client.Object {
	obj := reflect.New(reflect.TypeOf(f.obj).Elem()).Interface().(client.Object)
	obj.GetObjectKind().SetGroupVersionKind(f.obj.GetObjectKind().GroupVersionKind())
	c.into(obj)
	return obj
}

// Watch implements toolscache.ListerWatcher.
func (f *feed) Watch(metav1.ListOptions) (watch.Interface, error) {
	out := make(chan watch.Event)
	watcher := watch.NewProxyWatcher(out)
	go func() {
		defer close(out)
		for {
			c, wait, changed := f.next()
			if wait > 0 {
				select {
				case <-time.After(wait):
				case <-changed:
				case <-watcher.StopChan():
					return
				}
				continue
			}
			e := watch.Event{Type: watch.Modified, Object: f.convert(c)} // the informer sees for itself what is new
			if c.gone {
				e.Type = watch.Deleted
			}
			select {
			case out <- e:
			case <-watcher.StopChan():
				return
			}
		}
	}()
	return watcher, nil
}

// next returns the next change of the kind, if there is one that is due. Else it returns how long
// to wait for that, and what tells of another.
func (f *feed) next() (c change, wait time.Duration, changed <-chan struct{}) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	for ; f.read < len(f.w.history); f.read++ {
		if c = f.w.history[f.read]; c.key.kind != f.kind {
			continue
		}
		if wait = time.Until(c.due); wait <= 0 {
			f.read++
		}
		return c, wait, f.w.changed
	}
	return c, math.MaxInt64, f.w.changed
}
