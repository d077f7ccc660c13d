package main

import (
	"strings"
	"testing"
	"time"

	"github.com/ctsim/ctsim/scenario/replay"
)

func TestStatusLine(t *testing.T) {
	s := &status{width: 72, total: 2, runs: map[string]*progress{}}
	if got := s.line(time.Now()); got != "" {
		t.Errorf("before any run: %q", got)
	}
	s.update("first", replay.Progress{Step: 3, Steps: 5, Text: "waiting for the entry to expire", Left: 2100 * time.Millisecond})
	s.update("second", replay.Progress{Text: "building the world"})
	at := s.runs["first"].at
	for after, want := range map[time.Duration]string{
		0:                       "0 of 2 done; first: step 3/5 waiting for the entry to expire, 2.1 s left",
		1100 * time.Millisecond: "0 of 2 done; first: step 3/5 waiting for the entry to expire, 1.0 s left",
		time.Hour:               "0 of 2 done; first: step 3/5 waiting for the entry to expire",
	} {
		if got := s.line(at.Add(after)); got != want[:min(len(want), s.width-1)] {
			t.Errorf("after %s: got %q, want the beginning of %q", after, got, want)
		}
	}
	s.ended("first")
	if got, want := s.line(at), "1 of 2 done; second: building the world"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestStatusWithoutTerminal: nothing is drawn into a file; asked to be verbose, each step is one line.
func TestStatusWithoutTerminal(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		var b strings.Builder
		s := newStatus(&b, 1, verbose)
		for range 3 {
			s.update("x", replay.Progress{Step: 1, Steps: 2, Text: "wait", Left: time.Second})
		}
		s.update("x", replay.Progress{Step: 2, Steps: 2, Text: "send"})
		s.above(func() { b.WriteString("report\n") })
		s.close()
		want := "report\n"
		if verbose {
			want = "x: step 1/2 wait, 1.0 s left\nx: step 2/2 send\nreport\n"
		}
		if b.String() != want {
			t.Errorf("verbose %t: got %q, want %q", verbose, b.String(), want)
		}
	}
}

// TestStatusIsTakenBack: what is written above the line does not begin in the middle of it.
func TestStatusIsTakenBack(t *testing.T) {
	var b strings.Builder
	s := &status{w: &b, live: true, width: 80, total: 1, stop: make(chan struct{}), runs: map[string]*progress{}}
	s.update("x", replay.Progress{Step: 1, Steps: 1, Text: "wait"})
	s.drawing.Go(s.draw)
	for drawn := false; !drawn; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		drawn = s.drawn
		s.mu.Unlock()
	}
	s.above(func() { b.WriteString("report\n") })
	s.ended("x")
	s.close()
	if _, after, _ := strings.Cut(b.String(), "x: step 1/1 wait"); !strings.Contains(after, "\r\x1b[Kreport\n") {
		t.Errorf("got %q", b.String())
	}
}
