package conntrack

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var compareEvents = cmp.Options{
	cmpopts.EquateComparable(netip.AddrPort{}),
	cmpopts.EquateEmpty(),
}

// firstOf gives the first event of a type from a recording, with its bytes.
func firstOf(t testing.TB, name string, kind EventType) (Event, []byte) {
	t.Helper()
	for _, r := range readRecording(t, filepath.Join("testdata", name+".txt")) {
		events, err := Decode(r.bytes)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Type == kind {
				return e, r.bytes
			}
		}
	}
	t.Fatalf("no %s in %s", kind, name)
	panic("not reached")
}

func TestDecodeEveryField(t *testing.T) {
	got, _ := firstOf(t, "accounting", Destroy)
	port := got.Original.Src.Port()
	want := Event{
		Type: Destroy,
		Entry: Entry{
			Original: NewTuple(ProtocolTCP, netip.AddrPortFrom(clientAddr, port), serviceAddr),
			Reply:    NewTuple(ProtocolTCP, backends[0], netip.AddrPortFrom(clientAddr, port)),
			Status: StatusSeenReply | StatusAssured | StatusConfirmed | StatusDstNAT | StatusSrcNATDone | StatusDstNATDone |
				StatusDying,
			HasStatus:  true,
			HasTimeout: true,
			TCP:        TCPEstablished, HasTCP: true,
			Mark: 7, HasMark: true,
			HasCounters:   true,
			OriginalCount: Counter{Packets: 3, Bytes: 174},
			ReplyCount:    Counter{Packets: 2, Bytes: 112},
		},
		KernelTime: true,
	}
	ignore := cmp.FilterPath(func(p cmp.Path) bool {
		return slices.Contains([]string{"ID", "Timeout", "PortID", "Start", "Stop", "Time"}, p.Last().String()[1:])
	}, cmp.Ignore())
	if diff := cmp.Diff(want, got, compareEvents, ignore); diff != "" {
		t.Error("-want +got:\n", diff)
	}
	if got.ID == 0 || got.PortID == 0 || got.Timeout < 400_000*time.Second {
		t.Errorf("ID %d, port id %d, timeout %s", got.ID, got.PortID, got.Timeout)
	}
	if !got.Start.Before(got.Stop) || got.Stop.After(got.Time) || got.Time.Sub(got.Start) > time.Minute {
		t.Errorf("start %s, stop %s, time %s", got.Start, got.Stop, got.Time)
	}
}

// message frames attributes as one message of the conntrack subsystem.
func message(kind uint16, attributes ...[]byte) []byte {
	b := make([]byte, nlmsgHeaderLen+nfgenHeaderLen)
	for _, a := range attributes {
		b = append(b, a...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	return b
}

func attr(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(attrHeaderLen+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, align4(len(b))-len(b))...)
}

const (
	kindNew    = subsysCtnetlink<<8 | msgNew
	kindDelete = subsysCtnetlink<<8 | msgDelete
)

func TestDecodeSkipsTheUnknown(t *testing.T) {
	unknown := attr(999, 1, 2, 3)
	for name, c := range map[string]struct {
		bytes []byte
		want  []Event
	}{
		"nothing":             {nil, nil},
		"another subsystem":   {message(2<<8, unknown), nil},
		"end of a dump":       {message(3), nil},
		"unknown message":     {message(subsysCtnetlink<<8 | 9), nil},
		"unknown attribute":   {message(kindDelete, unknown), []Event{{Type: Destroy}}},
		"unknown in a tuple":  {message(kindNew, attr(ctaTupleOrig|attrNested, unknown...)), []Event{{Type: Update}}},
		"SCTP protocol state": {message(kindNew, attr(ctaProtoInfo|attrNested, attr(3, attr(1, 5)...)...)), []Event{{Type: Update}}},
		"helper": {message(kindNew, attr(ctaHelp, attr(ctaHelpName, []byte("ftp\x00")...)...)),
			[]Event{{Type: Update, Entry: Entry{Helper: "ftp"}}}},
		"label": {message(kindNew, attr(ctaSecCtx, attr(ctaSecCtxName, []byte("unlabeled")...)...)),
			[]Event{{Type: Update, Entry: Entry{SecurityContext: "unlabeled"}}}},
		"zone": {message(kindNew, attr(ctaZone, 0, 9)), []Event{{Type: Update, Entry: Entry{Zone: 9}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(c.bytes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, compareEvents); diff != "" {
				t.Error("-want +got:\n", diff)
			}
		})
	}
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		bytes []byte
		want  string
	}{
		{make([]byte, 15), "15 bytes where a message's header of 16 should be"},
		{make([]byte, 16), "message at byte 0 says 0 bytes, 16 are left"},
		{message(kindNew)[:18], "message at byte 0 says 20 bytes, 18 are left"},
		{message(kindNew, []byte{1, 2}), "2 bytes where an attribute's header of 4 should be"},
		{message(kindNew, []byte{200, 0, 3, 0}), "attribute 3 says 200 bytes, 4 are left"},
		{message(kindNew, []byte{1, 0, 3, 0}), "attribute 3 says 1 bytes, 4 are left"},
		{message(kindDelete, attr(ctaTimeout, 1, 2)), "DESTROY event: malformed ctnetlink message: CTA_TIMEOUT has 2 bytes, not 4"},
		{message(kindNew, attr(ctaTupleOrig, attr(ctaTupleIP, attr(ctaIPv4Src, 1)...)...)),
			"in CTA_TUPLE_ORIG: in CTA_TUPLE_IP: malformed ctnetlink message: CTA_IP_V4_SRC has 1 bytes, not 4"},
		{message(kindNew, attr(ctaProtoInfo, attr(ctaProtoInfoTCP, attr(ctaProtoInfoTCPState)...)...)),
			"CTA_PROTOINFO_TCP_STATE has 0 bytes, not 1"},
		{append(message(kindNew), message(kindNew, attr(ctaID, 1))...), "message at byte 20: UPDATE event"},
	} {
		_, err := Decode(c.bytes)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%x:\n got %v\nwant ErrMalformed with %q", c.bytes, err, c.want)
		}
	}
}

// Cut anywhere, a message is an error and nothing is made up of the rest.
func TestDecodeTruncated(t *testing.T) {
	for _, path := range recordings(t) {
		for _, r := range readRecording(t, path) {
			for n := 1; n < len(r.bytes); n++ {
				events, err := Decode(r.bytes[:n])
				if !errors.Is(err, ErrMalformed) || len(events) != 0 {
					t.Fatalf("%s: first %d bytes of %q: %v, %v", path, n, r.line, events, err)
				}
			}
		}
	}
}

func TestDecodeEntriesReadsDumps(t *testing.T) {
	e, b := firstOf(t, "article", New)
	entries, err := DecodeEntries(append(slices.Clone(b), message(3)...)) // NLMSG_DONE
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Entry{e.Entry}, entries, compareEvents); diff != "" {
		t.Error("-want +got:\n", diff)
	}
	if _, err := DecodeEntries(b[:len(b)-1]); !errors.Is(err, ErrMalformed) {
		t.Errorf("truncated: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, path := range recordings(f) {
		for _, r := range readRecording(f, path) {
			f.Add(r.bytes)
		}
	}
	f.Add(message(kindNew, attr(ctaHelp, attr(ctaHelpName)...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := Decode(b)
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%v is not ErrMalformed", err)
		}
		for _, e := range events {
			if e.Type != New && e.Type != Update && e.Type != Destroy {
				t.Errorf("type %d", e.Type)
			}
			if (e.DestroyedBy() == NotDestroyed) != (e.Type != Destroy) {
				t.Errorf("%s destroyed by %s", e.Type, e.DestroyedBy())
			}
			_ = e.String()
		}
		if _, err := DecodeEntries(b); err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%v is not ErrMalformed", err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	_, datagram := firstOf(b, "article", Destroy)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(datagram); err != nil {
			b.Fatal(err)
		}
	}
}
