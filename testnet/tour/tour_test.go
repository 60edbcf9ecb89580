package tour_test

import (
	"bytes"
	"context"
	"os/exec"
	"testing"
	"time"

	"parley/testnet"
)

// TestDemo has two nodes show what they can do together: parley demo --check.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	binary, err := testnet.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	out, err := exec.CommandContext(ctx, binary, "demo", "--check").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("All went as it should.")) {
		t.Errorf("it does not say that all went well:\n%s", out)
	}
}
