package guest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// What the guest says goes over a serial line, in frames: a kind, the length of what follows as 4 bytes with the highest
// first, and that many bytes.

// kind is what a frame carries.
type kind byte

const (
	// ready: the guest's first process runs. Payload: `uname -r`.
	ready kind = 'R'
	// alive is sent again and again while the program runs, so that silence means that the guest is dead. No payload.
	alive kind = 'A'
	// stdout and stderr are what the program wrote.
	stdout kind = 'O'
	stderr kind = 'E'
	// ended: the program has. Payload: its exit code in decimal.
	ended kind = 'X'
	// failed: the guest cannot run the program. Payload: why.
	failed kind = 'F'
)

// maxFrame is the most that a frame carries; more than that is noise on the line.
const maxFrame = 64 << 10

// preamble comes before the first frame: what the firmware or the kernel has written to the line is before it.
const preamble = "\x00ctsim guest 1\n"

// writeFrame cuts what is too long into several frames.
func writeFrame(w io.Writer, k kind, payload []byte) error {
	for first := true; first || len(payload) > 0; first = false {
		part := payload[:min(len(payload), maxFrame)]
		payload = payload[len(part):]
		frame := binary.BigEndian.AppendUint32([]byte{byte(k)}, uint32(len(part)))
		if _, err := w.Write(append(frame, part...)); err != nil {
			return err
		}
	}
	return nil
}

// frames reads what a guest says.
type frames struct{ r *bufio.Reader }

// readPreamble passes over all that comes before it.
func readPreamble(r io.Reader) (*frames, error) {
	f := &frames{bufio.NewReader(r)}
	for matched := 0; matched < len(preamble); {
		b, err := f.r.ReadByte()
		if err != nil {
			return nil, err
		}
		switch b {
		case preamble[matched]:
			matched++
		case preamble[0]:
			matched = 1
		default:
			matched = 0
		}
	}
	return f, nil
}

func (f *frames) next() (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes, want at most %d: noise on the serial line", n, maxFrame)
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(f.r, payload)
	return kind(head[0]), payload, err
}
