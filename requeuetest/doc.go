// Package requeuetest tests a controller in virtual time. A test of a timeout of 12 minutes takes
// milliseconds; a test of a timeout of a day takes well under a second.
//
// The test runs controller-runtime's manager, with its cache, its controllers and their production
// queue, in a bubble of [testing/synctest]. Only the API server is replaced, by
// controller-runtime's fake client. The reconciler need not use requeue, and needs no fake clock:
// time.Now is virtual in a bubble.
//
// [Start] takes the SetupWithManager of the controller. [For] makes one for a reconciler that has
// none. The methods of the [World] then let time pass ([World.Sleep]), make trouble
// ([World.Restart], [World.Conflict], [World.Lag], [World.Latency]) and fail the test.
// [World.ActedBy] fails if the controller did not act on an object at its deadline,
// [World.NotLost] if the controller left the object alone, and [World.AtMost] if it looked at the
// object in a hot loop. The failure lists the looks at the object, as [World.Timeline] does.
//
// # Differences from a cluster
//
//   - There are no webhooks, no garbage collector and no other controllers. Events are not stored,
//     and there is no leader election. API calls fail, except those of the manager's client, cache
//     and API reader. Replace everything else that the controller talks to: a goroutine that waits
//     for a network stops virtual time.
//   - Code takes no time, unless it sleeps or [World.Latency] is set.
//   - The cache holds all objects of a kind; it cannot select namespaces or labels.
//   - Options.Objects decides which kinds have a namespace. For other kinds it is guessed.
//   - An update that changes the spec increments the generation; a patch does not.
//   - A write takes a millisecond or two of real time.
//
// In a bubble, time starts at midnight of 1 January 2000, UTC. Make objects in the bubble, with
// metav1.Now.
package requeuetest
