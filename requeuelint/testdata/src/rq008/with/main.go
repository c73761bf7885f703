package main

import (
	"github.com/requeue-go/requeue"
	"github.com/requeue-go/requeue/deadlinequeue"
	"rq008/controllers"
)

func main() {
	_ = deadlinequeue.NewQueue("promotions")
	_, _ = controllers.Reconcile(requeue.Plan{})
}
