package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/scenario/replay"
)

// redraw is how often the status line is drawn: often enough for tenths of a second that count down.
const redraw = 100 * time.Millisecond

// status is the one line on a terminal that tells what runs are waiting for. Where stderr is no terminal there is no
// such line; asked to be verbose, each step is a line of its own there.
type status struct {
	w       io.Writer
	live    bool
	verbose bool
	width   int
	total   int
	stop    chan struct{}
	drawing sync.WaitGroup

	mu    sync.Mutex
	done  int
	runs  map[string]*progress
	order []string // of the first report of each run
	drawn bool
}

// progress is what a run told last, and when.
type progress struct {
	replay.Progress
	at time.Time
}

func newStatus(w io.Writer, total int, verbose bool) *status {
	s := &status{w: w, verbose: verbose, total: total, stop: make(chan struct{}), runs: map[string]*progress{}}
	s.width, s.live = cmdline.TerminalWidth(w)
	if s.live {
		s.drawing.Go(s.draw)
	}
	return s
}

func (s *status) draw() {
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-tick.C:
			s.mu.Lock()
			s.erase()
			if line := s.line(now); line != "" {
				_, _ = io.WriteString(s.w, line)
				s.drawn = true
			}
			s.mu.Unlock()
		}
	}
}

// update takes what a run reports of itself.
func (s *status) update(name string, p replay.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.runs[name]
	if last == nil {
		s.order = append(s.order, name)
	}
	if s.verbose && !s.live && (last == nil || last.Step != p.Step || last.Text != p.Text) {
		fmt.Fprintln(s.w, describe(name, p))
	}
	s.runs[name] = &progress{p, time.Now()}
}

// ended takes a run off the line.
func (s *status) ended(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	delete(s.runs, name)
}

// above writes to the terminal without the status line getting in the way.
func (s *status) above(write func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	write()
}

// close takes the line away for good.
func (s *status) close() {
	close(s.stop)
	s.drawing.Wait()
	s.above(func() {})
}

func (s *status) erase() {
	if s.drawn {
		_, _ = io.WriteString(cmdline.Raw(s.w), "\r\x1b[K")
		s.drawn = false
	}
}

// line is what the status line says now: the run that started first of those that are left, and how many are.
func (s *status) line(now time.Time) string {
	for _, name := range s.order {
		p := s.runs[name]
		if p == nil {
			continue
		}
		shown := p.Progress
		if shown.Left > 0 {
			shown.Left = max(0, shown.Left-now.Sub(p.at)) // nothing is said of a wait that takes longer than foretold
		}
		line := describe(name, shown)
		if s.total > 1 {
			line = fmt.Sprintf("%d of %d done; %s", s.done, s.total, line)
		}
		// A line that fills the last column would scroll and could not be taken back.
		if runes := []rune(line); len(runes) >= s.width {
			line = string(runes[:max(0, s.width-1)])
		}
		return line
	}
	return ""
}

func describe(name string, p replay.Progress) string {
	line := name + ": "
	if p.Step > 0 {
		line += fmt.Sprintf("step %d/%d ", p.Step, p.Steps)
	}
	line += printable.Line(p.Text)
	if p.Left > 0 {
		line += fmt.Sprintf(", %.1f s left", p.Left.Seconds())
	}
	return line
}
