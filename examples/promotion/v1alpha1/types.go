// Package v1alpha1 is the part of Kargo's Promotion that a step timeout touches,
// under the same group, kind and field names. The API server takes manifests that
// are written for Kargo, as the CRD has all fields of its spec.
package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// GroupVersion is the API group and version of Promotion.
var GroupVersion = schema.GroupVersion{Group: "kargo.akuity.io", Version: "v1alpha1"}

// Kind is the kind of Promotion.
const Kind = "Promotion"

// AddToScheme registers the types of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Promotion{}, &PromotionList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

// Promotion runs the steps that bring one piece of freight to a stage.
type Promotion struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PromotionSpec   `json:"spec"`
	Status PromotionStatus `json:"status,omitempty"`
}

// PromotionSpec is what is to be done.
type PromotionSpec struct {
	Steps []PromotionStep `json:"steps"`
}

// PromotionStep is one step.
type PromotionStep struct {
	// Uses names the kind of step, such as argocd-update or git-wait-for-pr.
	Uses string `json:"uses,omitempty"`
	// As is the alias of the step.
	As    string              `json:"as,omitempty"`
	Retry *PromotionStepRetry `json:"retry,omitempty"`
}

// PromotionStepRetry says when a step is given up.
type PromotionStepRetry struct {
	// Timeout is how long the step may take, counted from its startedAt, such as
	// 5m. 0, a negative one and none at all mean that it may take for ever. It is
	// text, as the API server takes any: with a type that may fail to decode, one
	// bad object would fail every list, and with it the controller.
	Timeout string `json:"timeout,omitempty"`
}

// Timeouts returns how long each step may take, 0 or less if it may take for ever,
// and an error that names each timeout that is no duration.
func (p *Promotion) Timeouts() ([]time.Duration, error) {
	timeouts := make([]time.Duration, len(p.Spec.Steps))
	var problems field.ErrorList
	for i, step := range p.Spec.Steps {
		if step.Retry == nil {
			continue
		}
		var problem *field.Error
		if timeouts[i], problem = ParseTimeout(i, step.Retry.Timeout); problem != nil {
			problems = append(problems, problem)
		}
	}
	return timeouts, problems.ToAggregate()
}

// ParseTimeout reads the timeout of a step. "" is none.
func ParseTimeout(step int, text string) (time.Duration, *field.Error) {
	if text == "" {
		return 0, nil
	}
	timeout, err := time.ParseDuration(text)
	if err != nil {
		path := field.NewPath("spec", "steps").Index(step).Child("retry", "timeout")
		return 0, field.Invalid(path, text, "want a duration such as 90s or 5m")
	}
	return timeout, nil
}

// Phases of a promotion and of its steps.
const (
	PhaseRunning   = "Running"
	PhaseSucceeded = "Succeeded"
	PhaseFailed    = "Failed"
)

// PromotionStatus is what has been done.
type PromotionStatus struct {
	Phase                 string                  `json:"phase,omitempty"`
	Message               string                  `json:"message,omitempty"`
	StartedAt             *metav1.Time            `json:"startedAt,omitempty"`
	FinishedAt            *metav1.Time            `json:"finishedAt,omitempty"`
	CurrentStep           int64                   `json:"currentStep,omitempty"`
	StepExecutionMetadata []StepExecutionMetadata `json:"stepExecutionMetadata,omitempty"`
}

// StepExecutionMetadata is what has been done of one step.
type StepExecutionMetadata struct {
	Alias      string       `json:"alias,omitempty"`
	Status     string       `json:"status,omitempty"`
	Message    string       `json:"message,omitempty"`
	StartedAt  *metav1.Time `json:"startedAt,omitempty"`
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
}

// PromotionList is a list of promotions.
type PromotionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Promotion `json:"items"`
}

// DeepCopy returns a copy that shares nothing with p.
func (p *Promotion) DeepCopy() *Promotion {
	if p == nil {
		return nil
	}
	out := *p
	p.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Spec.Steps = copySlice(p.Spec.Steps, func(s *PromotionStep) {
		if s.Retry != nil {
			s.Retry = new(*s.Retry)
		}
	})
	out.Status.StartedAt = p.Status.StartedAt.DeepCopy()
	out.Status.FinishedAt = p.Status.FinishedAt.DeepCopy()
	out.Status.StepExecutionMetadata = copySlice(p.Status.StepExecutionMetadata, func(m *StepExecutionMetadata) {
		m.StartedAt, m.FinishedAt = m.StartedAt.DeepCopy(), m.FinishedAt.DeepCopy()
	})
	return &out
}

// DeepCopyObject implements runtime.Object.
func (p *Promotion) DeepCopyObject() runtime.Object { return p.DeepCopy() }

// DeepCopyObject implements runtime.Object.
func (l *PromotionList) DeepCopyObject() runtime.Object {
	out := *l
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	out.Items = copySlice(l.Items, func(p *Promotion) { *p = *p.DeepCopy() })
	return &out
}

// copySlice copies a slice and lets own make each element its own.
func copySlice[T any](in []T, own func(*T)) []T {
	if in == nil {
		return nil
	}
	out := make([]T, len(in))
	for i := range in {
		out[i] = in[i]
		own(&out[i])
	}
	return out
}
