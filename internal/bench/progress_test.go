package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where nothing can be rewritten, there is a line for each measurement that has ended.
func TestBoard_noTerminal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(file)
	require.NoError(t, err)
	defer out.Close()
	b := newBoard(out)
	one, two := b.begin("[1/2] one"), b.begin("[2/2] two")
	one.say("half of it")
	two.end("2s")
	one.end("3s")
	b.clear()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "[2/2] two 2s\n[1/2] one 3s\n", string(text))
}
