package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// runFile says how to reach the node that runs on a data directory. Only the owner
// of the directory can read it: the token opens the operators' interface.
type runFile struct {
	PID     int       `json:"pid"`
	Admin   string    `json:"admin"`  // URL
	HTTP    string    `json:"http"`   // URL to open
	Listen  string    `json:"listen"` // address for clients
	Token   string    `json:"token"`
	Started time.Time `json:"started"`
}

// newToken is 130 random bits.
func newToken() string { return rand.Text() }

func readRunFile(path string) (runFile, error) {
	var r runFile
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// alive reports whether there is a process of that number; a node that was killed
// leaves the file behind.
func (r runFile) alive() bool {
	p, err := os.FindProcess(r.PID)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}

// write puts the file there whole, readable by the owner only.
func (r runFile) write(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(printJSON(f, r), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
