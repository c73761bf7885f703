package examples_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The test that docs/testing.md begins with fails, and says what the page shows.
func TestSteps_failsAsThePageSays(t *testing.T) {
	if testing.Short() {
		t.Skip("runs go test")
	}
	page, err := os.ReadFile("../docs/testing.md")
	require.NoError(t, err)
	_, says, _ := strings.Cut(string(page), "The test fails in less than a second, and says why:\n\n```\n")
	says, _, _ = strings.Cut(says, "```")
	require.NotEmpty(t, says)
	output, err := exec.Command("go", "test", "./testdata/steps").CombinedOutput()
	require.Error(t, err)
	for line := range strings.Lines(says) {
		assert.Contains(t, string(output), strings.TrimSpace(line))
	}
}
