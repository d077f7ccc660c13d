package socket

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

var (
	ssTime      = regexp.MustCompile(`timer:\((\w+),[^,]*,`)
	netstatTime = regexp.MustCompile(` \(\d+\.\d\d/`)
)

// maskTime takes the time left out of a line.
func maskTime(line string) string {
	line = ssTime.ReplaceAllString(line, "timer:($1,T,")
	return netstatTime.ReplaceAllString(line, " (T/")
}

// recorded is one socket as the kernel, `ss -tano` (iproute2 6.1.0) and `netstat -tan --timers` (net-tools 2.10) told of
// it, the commands' times masked. The file is made by `go test -run TestKernelRecording -update`.
type recorded struct {
	ss, netstat string
	message     []byte
}

func readRecording(t testing.TB) []recorded {
	t.Helper()
	text, err := os.ReadFile("testdata/states.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	var r recorded
	for line := range strings.Lines(string(text)) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case "ss":
			r.ss = rest
		case "netstat":
			r.netstat = rest
		case "bytes":
			if r.message, err = hex.DecodeString(rest); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		default:
			t.Fatalf("unknown word %q", word)
		}
	}
	if len(all) == 0 {
		t.Fatal("nothing recorded")
	}
	return all
}

func TestReplay(t *testing.T) {
	var stream []byte
	all := readRecording(t)
	for _, r := range all {
		sockets, done, err := decode(nil, r.message)
		if err != nil || done || len(sockets) != 1 {
			t.Fatalf("%s: %v, %v, %v", r.ss, sockets, done, err)
		}
		s := sockets[0]
		if got := maskTime(s.SS()); got != r.ss {
			t.Errorf("\n got %q\nwant %q", got, r.ss)
		}
		if got := maskTime(s.String()); got != r.netstat {
			t.Errorf("\n got %q\nwant %q", got, r.netstat)
		}
		checkInfo(t, s)
		stream = append(stream, r.message...)
	}
	stream = append(stream, answer(nlmsg.Done, 0)...)
	sockets, done, err := decode(nil, stream)
	if err != nil || !done || len(sockets) != len(all) {
		t.Errorf("in one datagram: %d sockets of %d, done %v, %v", len(sockets), len(all), done, err)
	}
}

// checkInfo compares what the recording's sockets are known to have gone through.
func checkInfo(t *testing.T, s Socket) {
	t.Helper()
	if s.Cookie == 0 {
		t.Errorf("%s: no cookie", s)
	}
	if (s.Info == nil) != (s.State == TimeWait) || s.State == TimeWait && s.Inode != 0 {
		t.Errorf("%s: info %+v, inode %d", s, s.Info, s.Inode)
	}
	switch {
	case s.State == SynSent:
		if s.Info.Unacked != 1 || s.Timer.Expires <= 0 || s.Timer.Expires > time.Second {
			t.Errorf("%s: %+v", s, s.Info)
		}
	case s.Timer.Kind == Keepalive:
		if s.Timer.Expires <= 3990*time.Second || s.Timer.Expires > 4000*time.Second {
			t.Errorf("%s: %s", s, s.Timer.Expires)
		}
	case s.Timer.Kind == Probe:
		// What is not acknowledged is sent or not sent.
		sent := s.Info.BytesSent - s.Info.BytesRetransmitted - (s.Info.BytesAcked - 1)
		if uint64(s.SendQueue) != uint64(s.Info.NotSent)+sent || s.Info.NotSent == 0 {
			t.Errorf("%s: %+v", s, s.Info)
		}
	case s.RecvQueue > 1 && s.State == Established:
		if s.Info.BytesReceived != uint64(s.RecvQueue) {
			t.Errorf("%s: %+v", s, s.Info)
		}
	}
}

// answer is NLMSG_ERROR or NLMSG_DONE with an error number.
func answer(kind uint16, errno syscall.Errno) []byte {
	b := binary.NativeEndian.AppendUint32(nil, nlmsg.HeaderLen+4)
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, make([]byte, nlmsg.HeaderLen-6)...)
	return binary.NativeEndian.AppendUint32(b, uint32(-int32(errno)))
}

func TestDecodeErrors(t *testing.T) {
	for name, c := range map[string]struct {
		datagram []byte
		done     bool
		want     error
	}{
		"nothing":              {nil, false, nil},
		"done":                 {answer(nlmsg.Done, 0), true, nil},
		"acknowledged":         {answer(nlmsg.Error, 0), true, nil},
		"refused":              {answer(nlmsg.Error, syscall.EPERM), true, syscall.EPERM},
		"failed while dumping": {answer(nlmsg.Done, syscall.ENOENT), true, syscall.ENOENT},
		"no error number":      {answer(nlmsg.Error, 0)[:nlmsg.HeaderLen+2], false, nlmsg.ErrMalformed},
		"half a header":        {make([]byte, nlmsg.HeaderLen-1), false, nlmsg.ErrMalformed},
		"length 0":             {make([]byte, nlmsg.HeaderLen), false, nlmsg.ErrMalformed},
	} {
		_, done, err := decode(nil, c.datagram)
		if done != c.done || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: done %v, %v", name, done, err)
		}
	}
}

// TestDecodeCut cuts each recorded message at each byte, its length made to agree: an error or a socket, never a panic,
// and never a socket from less than struct inet_diag_msg.
func TestDecodeCut(t *testing.T) {
	for _, r := range readRecording(t) {
		for n := nlmsg.HeaderLen; n < len(r.message); n++ {
			if _, _, err := decode(nil, r.message[:n]); !errors.Is(err, nlmsg.ErrMalformed) {
				t.Fatalf("%s: cut to %d: %v", r.ss, n, err)
			}
			cut := append([]byte(nil), r.message[:n]...)
			binary.NativeEndian.PutUint32(cut, uint32(n))
			sockets, _, err := decode(nil, cut)
			if err == nil && (n < nlmsg.HeaderLen+diagMessageLen || len(sockets) != 1) {
				t.Fatalf("%s: shortened to %d: %v", r.ss, n, sockets)
			}
			if err != nil && !errors.Is(err, nlmsg.ErrMalformed) {
				t.Fatalf("%s: shortened to %d: %v", r.ss, n, err)
			}
		}
	}
}

// TestDecodeOldKernels reads tcp_info as long as kernels of old sent it.
func TestDecodeOldKernels(t *testing.T) {
	full := bytes.Repeat([]byte{1}, 256)
	for _, size := range []int{infoLen, infoBytesLen, infoNotSentAt + 4, infoLongLen, len(full)} {
		var s Socket
		if err := s.decodeInfo(full[:size]); err != nil {
			t.Fatal(err)
		}
		i := s.Info
		if i.Retransmits == 0 || (i.BytesAcked != 0) != (size >= infoBytesLen) ||
			(i.NotSent != 0) != (size > infoNotSentAt) || (i.BytesSent != 0) != (size >= infoLongLen) {
			t.Errorf("tcp_info of %d bytes: %+v", size, i)
		}
	}
	if err := new(Socket).decodeInfo(full[:infoLen-1]); !errors.Is(err, nlmsg.ErrMalformed) {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range readRecording(f) {
		f.Add(r.message)
	}
	f.Add(answer(nlmsg.Done, 0))
	f.Add(answer(nlmsg.Error, syscall.EPERM))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		sockets, _, _ := decode(nil, datagram)
		for _, s := range sockets {
			_, _ = s.String(), s.SS()
		}
	})
}
