package nlmsg

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func message(kind byte, payload ...byte) []byte {
	b := make([]byte, HeaderLen, HeaderLen+len(payload))
	b[0], b[4], b[8], b[12] = byte(HeaderLen+len(payload)), kind, 7, 9
	return append(b, payload...)
}

func TestEach(t *testing.T) {
	datagram := append(message(5, 'a', 0, 0, 0)[:], message(6)...)
	datagram[0] = HeaderLen + 1 // padded to 20
	var got []Header
	var payloads []string
	err := Each(datagram, func(h Header, payload []byte) error {
		got, payloads = append(got, h), append(payloads, string(payload))
		return nil
	})
	if err != nil || len(got) != 2 || got[0] != (Header{Type: 5, Sequence: 7, PortID: 9}) || got[1].Type != 6 ||
		strings.Join(payloads, ",") != "a," {
		t.Errorf("got %v %q, %v", got, payloads, err)
	}
	stop := errors.New("stop")
	if err := Each(datagram, func(Header, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the error of f", err)
	}
	for want, b := range map[string][]byte{
		"15 bytes where a message's header of 16":   make([]byte, 15),
		"message at byte 0 says 0 bytes":            make([]byte, 16),
		"message at byte 0 says 17 bytes, 16 are":   append([]byte{17}, make([]byte, 15)...),
		"message at byte 16 says 15 bytes, 16 are":  append(message(1), append([]byte{15}, make([]byte, 15)...)...),
		"message at byte 0 says 4294967295 bytes, ": append([]byte{255, 255, 255, 255}, make([]byte, 15)...),
	} {
		err := Each(b, func(Header, []byte) error { return nil })
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("% x:\n got %v\nwant ErrMalformed with %q", b, err, want)
		}
	}
}

func TestEachNetfilter(t *testing.T) {
	// struct nfgenmsg; type 3 with one byte and its padding; type 4, nested and empty; type 5, last and unpadded
	b := []byte{2, 0, 0, 0, 5, 0, 3, 0, 'x', 0, 0, 0, 4, 0, 4, 0x80, 5, 0, 5, 0x40, 'y'}
	var got []Attribute
	if err := EachNetfilter(b, func(a Attribute) error { got = append(got, a); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[0].Type != 3 || got[0].Nested || got[0].Text() != "x" || got[1].Type != 4 || !got[1].Nested ||
		len(got[1].Value) != 0 || got[2].Type != 5 || got[2].Text() != "y" {
		t.Errorf("got %+v", got)
	}
	for want, b := range map[string][]byte{
		"3 bytes where struct nfgenmsg of 4":           {0, 0, 0},
		"2 bytes where an attribute's header of 4":     {0, 0, 0, 0, 1, 2},
		"attribute 3 says 200 bytes, 4 are left":       {0, 0, 0, 0, 200, 0, 3, 0},
		"attribute 3 says 1 bytes, 4 are left":         {0, 0, 0, 0, 1, 0, 3, 0x80},
		"attribute 3 says 5 bytes, 4 are left":         {0, 0, 0, 0, 4, 0, 2, 0, 5, 0, 3, 0},
		"attribute 3 says 0 bytes, 4 are left":         {0, 0, 0, 0, 0, 0, 3, 0},
		"1 bytes where an attribute's header of 4 sho": {0, 0, 0, 0, 4, 0, 2, 0, 5},
	} {
		err := EachNetfilter(b, func(Attribute) error { return nil })
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("% x:\n got %v\nwant ErrMalformed with %q", b, err, want)
		}
	}
}

func TestValues(t *testing.T) {
	var n8 uint8
	var n16 uint16
	var n32 uint32
	var n64 uint64
	read := map[int]func(Attribute) error{
		1: func(a Attribute) error { return a.Uint8(&n8) }, 2: func(a Attribute) error { return a.Uint16(&n16) },
		4: func(a Attribute) error { return a.Uint32(&n32) }, 8: func(a Attribute) error { return a.Uint64(&n64) },
	}
	bytes := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9}
	for size, f := range read {
		for n := range len(bytes) + 1 {
			if err := f(Attribute{Type: 1, Value: bytes[:n]}); (err == nil) != (n == size) || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%d bytes read as %d: %v", n, size, err)
			}
		}
	}
	if n8 != 1 || n16 != 0x0102 || n32 != 0x01020304 || n64 != 0x0102030405060708 {
		t.Errorf("got %#x %#x %#x %#x", n8, n16, n32, n64)
	}
	if got := (Attribute{Value: []byte("ftp\x00\x00")}).Text(); got != "ftp" {
		t.Errorf("got %q", got)
	}
}

func TestErrno(t *testing.T) {
	if err := Errno([]byte{0, 0, 0, 0, 9}); err != nil {
		t.Error(err)
	}
	if err := Errno([]byte{0xfe, 0xff, 0xff, 0xff}); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v, want ENOENT", err)
	}
	if err := Errno([]byte{0, 0, 0}); !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
}

// FuzzEach: whatever a netlink socket hands over is walked to its end or refused, and no attribute is longer than what
// holds it.
func FuzzEach(f *testing.F) {
	f.Add(message(3))
	f.Add(message(16, 8, 0, 1, 0, 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		seen := 0
		_ = Each(datagram, func(_ Header, payload []byte) error {
			seen += len(payload)
			_ = Errno(payload)
			_ = EachNetfilter(payload, func(a Attribute) error { return nil })
			return EachAttribute(payload, func(a Attribute) error {
				if len(a.Value) > len(payload) {
					t.Errorf("an attribute of %d bytes in %d", len(a.Value), len(payload))
				}
				var n uint64
				_ = a.Uint64(&n)
				_ = a.Text()
				return nil
			})
		})
		if seen > len(datagram) {
			t.Errorf("%d bytes in messages of a datagram of %d", seen, len(datagram))
		}
	})
}
