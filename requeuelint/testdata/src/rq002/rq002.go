package rq002

import (
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
)

func work() error { return nil }

// Positive.

func tested() (ctrl.Result, error) {
	if err := work(); err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return ctrl.Result{}, nil
}

func wrapped(wait time.Duration) (ctrl.Result, error) {
	err := work()
	if err == nil {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: wait}, fmt.Errorf("work: %w", err) // want `RQ002`
}

func made() (ctrl.Result, error) {
	return ctrl.Result{Requeue: true, RequeueAfter: time.Minute}, errors.New("not yet") // want `RQ002`
}

func ofAKind() (ctrl.Result, error) {
	err := work()
	if apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return ctrl.Result{}, err
}

func variable() (ctrl.Result, error) {
	result := ctrl.Result{}
	result.RequeueAfter = time.Minute
	if err := work(); err != nil {
		return result, err // want `RQ002`
	}
	return result, nil
}

func deferred() (_ ctrl.Result, err error) {
	defer func() { _ = work() }()
	if err := work(); err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return ctrl.Result{}, nil
}

// Both are handed on, by two.
func first() (ctrl.Result, error) {
	result, err := second()
	if err != nil {
		return result, fmt.Errorf("first: %w", err)
	}
	return ctrl.Result{}, nil
}

func second() (ctrl.Result, error) { return third() }

func third() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Minute}, errors.New("not yet") // want `RQ002`
}

func handed(err error) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Minute}, fmt.Errorf("failed: %w", err) // want `RQ002`
}

func captured() (ctrl.Result, error) {
	err := work()
	defer func() { err = nil }()
	if err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return ctrl.Result{}, nil
}

var retry = ctrl.Result{RequeueAfter: time.Minute}

func shared() (ctrl.Result, error) {
	if err := work(); err != nil {
		return retry, err // want `RQ002`
	}
	return ctrl.Result{}, nil
}

func helped() (ctrl.Result, error) {
	if err := work(); err != nil {
		return in(time.Minute), err // want `RQ002`
	}
	return ctrl.Result{}, nil
}

func in(d time.Duration) ctrl.Result { return ctrl.Result{RequeueAfter: d} }

func pointer() (*ctrl.Result, error) {
	if err := work(); err != nil {
		return &ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return nil, nil
}

// Negative.

func ofPointer() (ctrl.Result, error) {
	result, err := pointed()
	if result != nil {
		return *result, nil
	}
	return ctrl.Result{}, err
}

func pointed() (*ctrl.Result, error) {
	if err := work(); err != nil {
		return &ctrl.Result{RequeueAfter: time.Minute}, err
	}
	return nil, nil
}

// The wait counts if the work succeeds, and if not the error does.
func either() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Minute}, work()
}

func eitherVariable() (ctrl.Result, error) {
	err := work()
	return ctrl.Result{RequeueAfter: time.Minute}, err
}

func ignoring() (ctrl.Result, error) {
	if err := work(); err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, ignore(err)
	}
	return ctrl.Result{}, nil
}

func ignore(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func noWait() (ctrl.Result, error) {
	if err := work(); err != nil {
		return ctrl.Result{Requeue: true}, err
	}
	return ctrl.Result{RequeueAfter: time.Minute}, nil
}

// The caller takes the wait and handles the error.
func caller() (ctrl.Result, error) {
	result, err := part()
	if err != nil {
		fmt.Println(err)
		return result, nil
	}
	return ctrl.Result{}, nil
}

func part() (ctrl.Result, error) {
	if err := work(); err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, err
	}
	return ctrl.Result{}, nil
}

// It is called with an error that may be nil.
func finish() (ctrl.Result, error) { return last(work()) }

func last(err error) (ctrl.Result, error) { return ctrl.Result{RequeueAfter: time.Minute}, err }

// The wait is handed to a function that returns it alone.
func (r *reporter) Reconcile() (ctrl.Result, error) {
	result, o, err := r.reconcile()
	return report(o, result, err)
}

func (r *reporter) reconcile() (ctrl.Result, int, error) {
	result, err := r.step()
	if err != nil {
		return result, 0, err
	}
	if _, err := r.other(); err != nil {
		return ctrl.Result{}, 0, err
	}
	return ctrl.Result{}, 1, nil
}

func (r *reporter) step() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Minute}, errors.New("not yet")
}

func (r *reporter) other() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Minute}, errors.New("not yet")
}

func report(_ int, result ctrl.Result, err error) (ctrl.Result, error) {
	if err != nil && !result.IsZero() {
		return result, nil
	}
	return result, err
}

type reporter struct{}

// What becomes of the wait of a step is not known.
func (r *reporter) steps() (ctrl.Result, error) {
	for _, step := range []func() (ctrl.Result, error){r.connect, disconnect} {
		if _, err := step(); err != nil {
			return ctrl.Result{RequeueAfter: time.Second}, nil
		}
	}
	return ctrl.Result{}, nil
}

func (r *reporter) connect() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Minute}, errors.New("not yet")
}

func disconnect() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Minute}, errors.New("not yet")
}

func ignored() (ctrl.Result, error) {
	err := work()
	if ignore(err) != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return ctrl.Result{}, nil
}

func joined(other error) (ctrl.Result, error) {
	if err := work(); err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, errors.Join(other, err) // want `RQ002`
	}
	return ctrl.Result{}, nil
}

func joinedMaybe(other error) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Minute}, errors.Join(other, work())
}

type notReady struct{ name string }

func (*notReady) Error() string { return "not ready" }

func newNotReady(name string) error { return &notReady{name} }

func constructed() (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Minute}, newNotReady("a") // want `RQ002`
}

func threeResults() (int, *ctrl.Result, error) {
	if err := work(); err != nil {
		return 0, &ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return 1, nil, nil
}

func errorFirst() (error, ctrl.Result) {
	if err := work(); err != nil {
		return err, ctrl.Result{RequeueAfter: time.Minute} // want `RQ002`
	}
	return nil, ctrl.Result{}
}

// The method of an interface, whose users are elsewhere.
type Part interface {
	Reconcile(name string) (ctrl.Result, error)
}

type somePart struct{}

func NewPart() Part { return &somePart{} }

func (*somePart) Reconcile(name string) (ctrl.Result, error) {
	return ctrl.Result{RequeueAfter: time.Minute}, errors.New("not yet")
}

// Named results, and a wait that a helper makes.
func bare(wait time.Duration) (next ctrl.Result, err error) {
	next = in(wait)
	if err = work(); err != nil {
		return // want `RQ002`
	}
	return
}

// A result that is not zero is returned, with the error.
func isZero() (ctrl.Result, error) {
	if result, err := substep(); !result.IsZero() || err != nil {
		return result, err
	}
	return ctrl.Result{}, nil
}

func substep() (ctrl.Result, error) {
	if err := work(); err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return ctrl.Result{}, nil
}

// A deferred function adds an error of its own.
func patched() (_ ctrl.Result, rerr error) {
	defer func() {
		if err := work(); err != nil && rerr == nil {
			rerr = err
		}
	}()
	err := work()
	if err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return ctrl.Result{RequeueAfter: time.Minute}, nil
}

// It keeps its own error in the variable of the function, after all else.
func patchedInto() (_ ctrl.Result, rerr error) {
	err := work()
	if err != nil {
		return ctrl.Result{}, err
	}
	defer func() {
		err = work()
		if err != nil {
			rerr = err
		}
	}()
	err = work()
	if err != nil {
		_ = work()
		return ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	if err = work(); err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, err // want `RQ002`
	}
	return ctrl.Result{RequeueAfter: time.Minute}, nil
}

// Errors that a function of the package returns in one of its ways.
func ready(n int) (bool, error) {
	if err := work(); err != nil {
		return false, err
	}
	return n > 0, nil
}

func ofAWay(n int) (ctrl.Result, bool, error) {
	ok, err := ready(n)
	if err != nil {
		return ctrl.Result{RequeueAfter: time.Minute}, false, err // want `RQ002`
	}
	if !ok {
		return ctrl.Result{RequeueAfter: time.Minute}, false, nil
	}
	return ctrl.Result{}, true, nil
}
