// Package requeuetest tests a controller in virtual time, so that a test of a timeout of 12
// minutes takes milliseconds, and of a day well under a second.
//
// What runs is controller-runtime's manager, with its cache, its controllers and the queue that
// they have in production, in a bubble of [testing/synctest]. Only the API server is replaced,
// by controller-runtime's fake client. The reconciler need not use requeue, nor have a clock
// that can be set: time.Now is virtual in a bubble.
//
// [Start] takes the SetupWithManager of the controller; [For] is for a reconciler that has none.
// The methods of the [World] then let time pass ([World.Sleep]), make trouble ([World.Restart],
// [World.Conflict], [World.Lag], [World.Latency]) and fail the test: [World.ActedBy] if an
// object was not acted on at its deadline, [World.NotLost] if it was left alone, and
// [World.AtMost] if it was looked at in a hot loop. They say what happened, with the looks at
// the object, which [World.Timeline] has, too.
//
// # What differs from a cluster
//
//   - There are no webhooks, no garbage collector and no other controllers, no events are kept, and
//     no leader is elected. Other calls of an API than by the manager's client, cache and API
//     reader fail. Replace what else the controller talks to: a goroutine that waits for a
//     network stops virtual time.
//   - Code takes no time, unless it sleeps or [World.Latency] is set.
//   - The cache holds all objects of a kind; it cannot select namespaces or labels.
//   - Which kinds have a namespace is told by Options.Objects, else it is guessed.
//   - A generation is counted up by an update that changes the spec, and not by a patch.
//   - A write takes a millisecond or two of real time.
//
// In a bubble the time starts at midnight of 1 January 2000, UTC. Make objects in it, with
// metav1.Now.
package requeuetest
