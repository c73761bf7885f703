package main // want `RQ008: deadlinequeue.Result is used \(rq008/controllers\), but this program never sets`

import (
	"github.com/requeue-go/requeue"
	"rq008/controllers"
)

func main() { _, _ = controllers.Reconcile(requeue.Plan{}) }
