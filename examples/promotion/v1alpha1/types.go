// Package v1alpha1 is the part of Kargo's Promotion that a step timeout touches,
// under the same group, kind and field names. Fields that are not here are kept
// by the API server, so manifests written for Kargo are accepted.
package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// Timeout returns how long the step may take, 0 or less if it may take for ever.
func (s PromotionStep) Timeout() time.Duration {
	if s.Retry == nil || s.Retry.Timeout == nil {
		return 0
	}
	return s.Retry.Timeout.Duration
}

// PromotionStepRetry says when a step is given up.
type PromotionStepRetry struct {
	// Timeout is how long the step may take, counted from its startedAt. 0, a
	// negative one and none at all mean that it may take for ever.
	Timeout *metav1.Duration `json:"timeout,omitempty"`
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
		if s.Retry == nil {
			return
		}
		retry := *s.Retry
		if retry.Timeout != nil {
			retry.Timeout = new(*retry.Timeout)
		}
		s.Retry = &retry
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
