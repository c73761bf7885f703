package requeuetest

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// newInformers makes the informers of the cache, which the fake client feeds. The resync of
// controller-runtime has a random part, and is replaced.
func (w *World) newInformers(resync time.Duration) func(toolscache.ListerWatcher, apiruntime.Object, time.Duration, toolscache.Indexers) toolscache.SharedIndexInformer {
	return func(_ toolscache.ListerWatcher, obj apiruntime.Object, _ time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
		return &steadyInformer{SharedIndexInformer: toolscache.NewSharedIndexInformer(&feed{w: w, obj: obj}, obj, resync, indexers)}
	}
}

// controller-runtime asks every 100 ms whether an informer has synced. One that has not, by
// then, has always done so by the next time, and never before: else the first look would be at
// one of several instants.
const steady = 50 * time.Millisecond

type steadyInformer struct {
	toolscache.SharedIndexInformer
	mu    sync.Mutex
	began time.Time
}

// RunWithContext implements toolscache.SharedInformer.
func (i *steadyInformer) RunWithContext(ctx context.Context) {
	i.mu.Lock()
	i.began = time.Now()
	i.mu.Unlock()
	i.SharedIndexInformer.RunWithContext(ctx)
}

// Run implements toolscache.SharedInformer.
func (i *steadyInformer) Run(stop <-chan struct{}) {
	i.RunWithContext(wait.ContextForChannel(stop))
}

// HasSynced implements toolscache.SharedInformer.
func (i *steadyInformer) HasSynced() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.began.IsZero() && time.Since(i.began) > steady && i.SharedIndexInformer.HasSynced()
}

// AddEventHandler implements toolscache.SharedInformer.
func (i *steadyInformer) AddEventHandler(h toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	return newSteadyHandler(i.SharedIndexInformer.AddEventHandler(h))
}

// AddEventHandlerWithResyncPeriod implements toolscache.SharedInformer.
func (i *steadyInformer) AddEventHandlerWithResyncPeriod(h toolscache.ResourceEventHandler, resync time.Duration) (toolscache.ResourceEventHandlerRegistration, error) {
	return newSteadyHandler(i.SharedIndexInformer.AddEventHandlerWithResyncPeriod(h, resync))
}

// AddEventHandlerWithOptions implements toolscache.SharedInformer.
func (i *steadyInformer) AddEventHandlerWithOptions(h toolscache.ResourceEventHandler, o toolscache.HandlerOptions) (toolscache.ResourceEventHandlerRegistration, error) {
	return newSteadyHandler(i.SharedIndexInformer.AddEventHandlerWithOptions(h, o))
}

// RemoveEventHandler implements toolscache.SharedInformer.
func (i *steadyInformer) RemoveEventHandler(h toolscache.ResourceEventHandlerRegistration) error {
	if h, ok := h.(*steadyHandler); ok {
		return i.SharedIndexInformer.RemoveEventHandler(h.ResourceEventHandlerRegistration)
	}
	return i.SharedIndexInformer.RemoveEventHandler(h)
}

// steadyHandler is the same for a handler.
type steadyHandler struct {
	toolscache.ResourceEventHandlerRegistration
	added time.Time
}

func newSteadyHandler(h toolscache.ResourceEventHandlerRegistration, err error) (toolscache.ResourceEventHandlerRegistration, error) {
	if err != nil {
		return nil, err
	}
	return &steadyHandler{h, time.Now()}, nil
}

// HasSynced implements toolscache.ResourceEventHandlerRegistration.
func (h *steadyHandler) HasSynced() bool {
	return time.Since(h.added) > steady && h.ResourceEventHandlerRegistration.HasSynced()
}

// feed lists and watches objects of a kind. The watch begins before the list, so that
// nothing is missed in between.
type feed struct {
	w     *World
	obj   apiruntime.Object
	begun watch.Interface
	seen  map[types.NamespacedName]string // the versions that were listed
}

// IsWatchListSemanticsUnSupported has client-go list, as the fake client streams no lists.
func (*feed) IsWatchListSemanticsUnSupported() bool { return true }

// List implements toolscache.ListerWatcher.
func (f *feed) List(metav1.ListOptions) (apiruntime.Object, error) {
	list, err := f.newList()
	if err != nil {
		return nil, err
	}
	if f.begun != nil {
		f.begun.Stop()
	}
	if f.begun, err = f.w.base.Watch(context.Background(), list); err != nil {
		return nil, err
	}
	if err := f.w.base.List(context.Background(), list); err != nil {
		return nil, err
	}
	f.seen = map[types.NamespacedName]string{}
	err = meta.EachListItem(list, func(item apiruntime.Object) error {
		obj, err := meta.Accessor(item)
		if err == nil {
			f.seen[types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}] = obj.GetResourceVersion()
		}
		return err
	})
	return list, err
}

// Watch implements toolscache.ListerWatcher.
func (f *feed) Watch(metav1.ListOptions) (watch.Interface, error) {
	source := f.begun
	f.begun = nil
	if source == nil {
		list, err := f.newList()
		if err != nil {
			return nil, err
		}
		if source, err = f.w.base.Watch(context.Background(), list); err != nil {
			return nil, err
		}
	}
	l := &lagging{source: source, out: make(chan watch.Event), stop: make(chan struct{})}
	go l.run(f.w, f.convert)
	return l, nil
}

// newList returns an empty list of the type that the informer holds.
func (f *feed) newList() (client.ObjectList, error) {
	kind, err := apiutil.GVKForObject(f.obj, f.w.scheme)
	if err != nil {
		return nil, err
	}
	kind.Kind += "List"
	switch f.obj.(type) {
	case *metav1.PartialObjectMetadata:
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind)
		return list, nil
	case *unstructured.Unstructured:
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		return list, nil
	}
	list, err := f.w.scheme.New(kind)
	if err != nil {
		return nil, err
	}
	return list.(client.ObjectList), nil
}

// convert makes an object of the watch one that the informer holds. It is not ok if it was listed.
func (f *feed) convert(e watch.Event) (_ watch.Event, ok bool) {
	obj, err := meta.Accessor(e.Object)
	if err != nil {
		return e, true
	}
	key := types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
	listed := f.seen[key] == obj.GetResourceVersion() && e.Type != watch.Deleted
	delete(f.seen, key)
	if listed {
		return e, false
	}
	kind, err := apiutil.GVKForObject(e.Object, f.w.scheme)
	switch f.obj.(type) {
	case *metav1.PartialObjectMetadata:
		partial := meta.AsPartialObjectMetadata(obj)
		partial.SetGroupVersionKind(kind)
		e.Object = partial
	case *unstructured.Unstructured:
		var content map[string]any
		if err == nil {
			content, err = apiruntime.DefaultUnstructuredConverter.ToUnstructured(e.Object)
		}
		u := &unstructured.Unstructured{Object: content}
		if err != nil {
			f.w.breaks("the cache cannot convert %v: %v", key, err)
			return e, false
		}
		u.SetGroupVersionKind(kind)
		e.Object = u
	}
	return e, true
}

// lagging is a watch whose events come late, in order, and none of them early.
type lagging struct {
	source watch.Interface
	out    chan watch.Event
	stop   chan struct{}
	once   sync.Once
}

// late is an event and when it may be seen.
type late struct {
	watch.Event
	due time.Time
}

// ResultChan implements watch.Interface.
func (l *lagging) ResultChan() <-chan watch.Event { return l.out }

// Stop implements watch.Interface.
func (l *lagging) Stop() { l.once.Do(func() { close(l.stop) }) }

func (l *lagging) run(w *World, convert func(watch.Event) (watch.Event, bool)) {
	defer close(l.out)
	defer l.source.Stop()
	var waiting []late
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var out chan watch.Event
		var next watch.Event
		if len(waiting) > 0 {
			if left := time.Until(waiting[0].due); left > 0 {
				timer.Reset(left)
			} else {
				out, next = l.out, waiting[0].Event
			}
		}
		select {
		case <-l.stop:
			return
		case e, open := <-l.source.ResultChan():
			if !open {
				return
			}
			if e, ok := convert(e); ok {
				w.mu.Lock()
				due := time.Now().Add(w.lag)
				w.mu.Unlock()
				if n := len(waiting); n > 0 && due.Before(waiting[n-1].due) {
					due = waiting[n-1].due
				}
				waiting = append(waiting, late{e, due})
			}
		case out <- next:
			waiting = waiting[1:]
		case <-timer.C:
		}
	}
}
