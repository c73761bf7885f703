package v1alpha1_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

func ExamplePromotion_Timeouts() {
	retry := func(timeout string) *v1alpha1.PromotionStepRetry {
		return &v1alpha1.PromotionStepRetry{Timeout: timeout}
	}
	var p v1alpha1.Promotion
	p.Spec.Steps = []v1alpha1.PromotionStep{{}, {Retry: retry("5m")}, {Retry: retry("1d")}}
	fmt.Println(p.Timeouts())
	// Output:
	// [0s 5m0s 0s] spec.steps[2].retry.timeout: Invalid value: "1d": want a duration such as 90s or 5m
}

func TestPromotion_DeepCopySharesNothing(t *testing.T) {
	build := func() *v1alpha1.Promotion {
		at := func() *metav1.Time { return &metav1.Time{Time: time.Unix(1, 0)} }
		return &v1alpha1.Promotion{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}},
			Spec: v1alpha1.PromotionSpec{Steps: []v1alpha1.PromotionStep{
				{Uses: "http", Retry: &v1alpha1.PromotionStepRetry{Timeout: "1s"}},
				{Uses: "git-clone", Retry: &v1alpha1.PromotionStepRetry{}},
			}},
			Status: v1alpha1.PromotionStatus{
				StartedAt: at(), FinishedAt: at(),
				StepExecutionMetadata: []v1alpha1.StepExecutionMetadata{{StartedAt: at(), FinishedAt: at()}},
			},
		}
	}
	p := build()
	list := &v1alpha1.PromotionList{Items: []v1alpha1.Promotion{*p}}
	for _, c := range []*v1alpha1.Promotion{p.DeepCopy(), &list.DeepCopyObject().(*v1alpha1.PromotionList).Items[0]} {
		assert.Equal(t, p, c)
		later := time.Unix(2, 0)
		c.Labels["a"] = "c"
		c.Spec.Steps[0].Retry.Timeout = "2s"
		c.Spec.Steps[1].Retry.Timeout = "2s"
		c.Status.StartedAt.Time, c.Status.FinishedAt.Time = later, later
		c.Status.StepExecutionMetadata[0].StartedAt.Time, c.Status.StepExecutionMetadata[0].FinishedAt.Time = later, later
		assert.Equal(t, build(), p)
	}
	assert.Nil(t, (*v1alpha1.Promotion)(nil).DeepCopy())
}
