package main

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// smoke runs the command as its users do, and returns what it prints.
func smoke(t *testing.T, args ...string) string {
	t.Helper()
	if os.Getenv("SMOKE") == "" {
		t.Skip("waits for real timeouts; set SMOKE=1")
	}
	cmd := exec.Command("go", append([]string{"run", "."}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	t.Logf("%s", out)
	require.NoError(t, err)
	return string(out)
}

// The example shows what it is there for: with requeue all time out, and promptly.
func TestSmoke(t *testing.T) {
	out := smoke(t)
	assert.Regexp(t, `(?m)^timed out +10 of 10 +10 of 10$`, out)
	late := regexp.MustCompile(`(?m)^late, p50 +(\S+) +(\S+)$`).FindStringSubmatch(out)
	require.NotNil(t, late)
	fixed, err := time.ParseDuration(late[1])
	require.NoError(t, err)
	own, err := time.ParseDuration(late[2])
	require.NoError(t, err)
	assert.GreaterOrEqual(t, own, time.Duration(0))
	assert.Less(t, own, min(500*time.Millisecond, fixed/5))
}

// A leader is killed, and each deadline is acted on once all the same, also one that was due
// while nobody led.
func TestSmoke_failover(t *testing.T) {
	out := smoke(t, "-replicas", "3")
	assert.Contains(t, out, "kill -9 of replica-")
	assert.Regexp(t, `(?m)^timed out exactly once `, out)
	assert.Regexp(t, `(?m)^lost, timed out twice, too early +0, 0, 0 +0, 0, 0$`, out)
}
