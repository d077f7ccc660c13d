package program

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Stream is where a program wrote a line.
type Stream string

// The streams.
const (
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// Line is one line of a program's output, without its line break.
type Line struct {
	// Time is when ctsim read it, CLOCK_REALTIME.
	Time   time.Time
	Stream Stream
	Text   string
}

const (
	// maxLine is the longest line in bytes; a longer one is cut into several.
	maxLine = 16 << 10
	// maxKept is how many lines of a stream are kept: the first half of it and the last.
	maxKept = 2000
)

// lines collects one stream.
type lines struct {
	stream Stream
	tell   func(Line)

	mu      sync.Mutex
	kept    []Line
	dropped int
	partial []byte
}

// read takes the stream line by line until its end.
func (l *lines) read(r io.Reader) {
	buf := make([]byte, maxLine)
	for {
		n, err := r.Read(buf)
		for _, line := range l.split(buf[:n], err != nil) {
			if l.tell != nil {
				l.tell(line)
			}
		}
		if err != nil {
			return
		}
	}
}

// split adds what was read and gives the lines that are complete, at the end of the stream the last one too.
func (l *lines) split(b []byte, end bool) []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var out []Line
	add := func(b []byte) {
		out = append(out, Line{now, l.stream, strings.ToValidUTF8(strings.TrimSuffix(string(b), "\r"), "\uFFFD")})
	}
	l.partial = append(l.partial, b...)
	for {
		i := bytes.IndexByte(l.partial, '\n')
		if i < 0 && len(l.partial) < maxLine {
			break
		}
		if i < 0 || i > maxLine {
			add(l.partial[:maxLine])
			l.partial = l.partial[maxLine:]
			continue
		}
		add(l.partial[:i])
		l.partial = l.partial[i+1:]
	}
	l.partial = slices.Clone(l.partial) // not to hold on to what was read before
	if end && len(l.partial) > 0 {
		add(l.partial)
		l.partial = nil
	}
	l.keep(out)
	return out
}

func (l *lines) keep(more []Line) {
	l.kept = append(l.kept, more...)
	if over := len(l.kept) - maxKept; over > 0 {
		l.kept = slices.Delete(l.kept, maxKept/2, maxKept/2+over)
		l.dropped += over
	}
}

// all are the lines kept, what is not ended by a line break too: it may be a question.
func (l *lines) all() []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := slices.Clone(l.kept)
	if l.dropped > 0 {
		gap := Line{out[maxKept/2-1].Time, l.stream, fmt.Sprintf("… %d lines are left out …", l.dropped)}
		out = slices.Insert(out, maxKept/2, gap)
	}
	if len(l.partial) > 0 {
		out = append(out, Line{time.Now(), l.stream, strings.ToValidUTF8(string(l.partial), "\uFFFD")})
	}
	return out
}
