// Package api has an object with a default.
package api

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type Config struct {
	SyncPeriod *metav1.Duration
	Grace      *metav1.Duration
}

func SetDefaults_Config(c *Config) {
	if c.SyncPeriod == nil {
		c.SyncPeriod = &metav1.Duration{Duration: time.Hour}
	}
}
