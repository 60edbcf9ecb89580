package model

import (
	"context"
	"testing"
)

func TestLook(t *testing.T) {
	cfg := Config{Nodes: 200, Users: 300, Warm: 15 * day, Length: 6 * day}
	cfg.Progress = func(done, all int, r *Result) {
		t.Logf("%3d/%d %-17s %-10s spam/ud %.4f late %.3f%% est %.2f%% new %.1f%% lost %d thr %.0f rec %.0f full %.0f asks %.1f bytes %.0f %v %.1fs", done, all, r.Attack, r.Policy, r.SpamUserDay, 100*r.Late, 100*r.LateContacts, 100*r.LateNew, r.Lost, r.Throttle, r.Recover, r.FullRate, r.Asks, r.Bytes, r.Notes, r.Seconds)
	}
	if _, err := Run(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
}
