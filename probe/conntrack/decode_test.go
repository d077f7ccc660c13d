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

	"github.com/ctsim/ctsim/probe/nlmsg"
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
	b := make([]byte, nlmsg.HeaderLen+nlmsg.NetfilterLen)
	for _, a := range attributes {
		b = append(b, a...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	return b
}

// nest is an attribute that holds others.
func nest(kind uint16, attributes ...[]byte) []byte {
	return attr(kind|nlmsg.FlagNested, slices.Concat(attributes...)...)
}

func attr(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(nlmsg.AttributeLen+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, nlmsg.Align(len(b))-len(b))...)
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
		"SCTP protocol state": {message(kindNew, nest(ctaProtoInfo, attr(3, attr(1, 5)...))), []Event{{Type: Update}}},
		"helper": {message(kindNew, nest(ctaHelp, attr(ctaHelpName, []byte("ftp\x00")...))),
			[]Event{{Type: Update, Entry: Entry{Helper: "ftp"}}}},
		"label": {message(kindNew, nest(ctaSecCtx, attr(ctaSecCtxName, []byte("unlabeled")...))),
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
		{message(kindDelete, attr(ctaTimeout, 1, 2)), "DESTROY event: malformed netlink message: attribute 7 has 2 bytes, not 4"},
		{message(kindNew, nest(ctaTupleOrig, nest(ctaTupleIP, attr(ctaIPv4Src, 1), attr(ctaIPv4Dst, 1)), attr(ctaTupleProto))),
			"in CTA_TUPLE_ORIG: in CTA_TUPLE_IP: malformed netlink message: address of 1 bytes"},
		{message(kindNew, nest(ctaTupleReply, attr(ctaTupleZone, 0, 1))),
			"in CTA_TUPLE_REPLY: malformed netlink message: 1 attributes"},
		{message(kindNew, nest(ctaProtoInfo, nest(ctaProtoInfoTCP, attr(ctaProtoInfoTCPState)))),
			"in CTA_PROTOINFO: in CTA_PROTOINFO_TCP: malformed netlink message: attribute 1 has 0 bytes, not 1"},
		{message(kindNew, attr(ctaHelp)), "in CTA_HELP: malformed netlink message: NLA_F_NESTED is not set"},
		{append(message(kindNew), message(kindNew, attr(ctaID, 1))...), "UPDATE event: "},
	} {
		_, err := Decode(c.bytes)
		if !errors.Is(err, nlmsg.ErrMalformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%x:\n got %v\nwant ErrMalformed with %q", c.bytes, err, c.want)
		}
	}
}

// A nested attribute of a newer kernel makes the entry one that cannot be told in full: the event is unread, and the error
// names the type.
func TestDecodeNamesTheUnknown(t *testing.T) {
	for want, b := range map[string][]byte{
		"NEW event: in CTA_TUPLE_ORIG: unknown attribute: type 99":          nest(ctaTupleOrig, attr(99, 1)),
		"in CTA_TUPLE_REPLY: in CTA_TUPLE_IP: unknown attribute: type 5":    nest(ctaTupleReply, nest(ctaTupleIP, attr(5, 1, 2, 3, 4))),
		"in CTA_TUPLE_ORIG: in CTA_TUPLE_PROTO: unknown attribute: type 98": nest(ctaTupleOrig, nest(ctaTupleProto, attr(98))),
		"in CTA_PROTOINFO: in CTA_PROTOINFO_TCP: unknown attribute: type 6": nest(ctaProtoInfo, nest(ctaProtoInfoTCP, attr(6))),
		"in CTA_COUNTERS_ORIG: unknown attribute: type 6":                   nest(ctaCountersOrig, attr(6)),
		"in CTA_TIMESTAMP: unknown attribute: type 3":                       nest(ctaTimestamp, attr(3)),
		"in CTA_HELP: unknown attribute: type 3":                            nest(ctaHelp, attr(3)),
		"in CTA_SECCTX: unknown attribute: type 2":                          nest(ctaSecCtx, attr(2)),
	} {
		good := message(kindNew, attr(ctaID, 0, 0, 0, 1))
		bad := message(kindNew, b)
		binary.NativeEndian.PutUint16(bad[6:], flagCreate)
		events, err := Decode(append(good, bad...))
		if !errors.Is(err, ErrUnknownAttribute) || !strings.Contains(err.Error(), want) || len(events) != 1 {
			t.Errorf("got %v and %d events, want %q after one", err, len(events), want)
		}
	}
}

// Cut anywhere, a message is an error and nothing is made up of the rest.
func TestDecodeTruncated(t *testing.T) {
	for _, path := range recordings(t) {
		for _, r := range readRecording(t, path) {
			for n := 1; n < len(r.bytes); n++ {
				events, err := Decode(r.bytes[:n])
				if !errors.Is(err, nlmsg.ErrMalformed) || len(events) != 0 {
					t.Fatalf("%s: first %d bytes of %q: %v, %v", path, n, r.line, events, err)
				}
			}
		}
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
		if err != nil && !errors.Is(err, nlmsg.ErrMalformed) && !errors.Is(err, ErrUnknownAttribute) {
			t.Errorf("%v is neither ErrMalformed nor ErrUnknownAttribute", err)
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
