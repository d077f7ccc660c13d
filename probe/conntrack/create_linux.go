package conntrack

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ctsim/ctsim/topology"
)

// creatableStatus are the bits a process may give to an entry; the kernel works the others out itself.
const creatableStatus = StatusSeenReply | StatusAssured

// Create adds entries to the table, in order, and stops at the first that fails; ErrExists if one of its tuples is
// taken. Of an entry it takes Original, Reply (Original.Invert if it is the zero value), Timeout, TCP if HasTCP, Mark if
// HasMark, and of Status SEEN_REPLY and ASSURED. A Reply that is not the inverse of Original is kept as it is, but the
// entry gets no SRC_NAT or DST_NAT bit, by which the kernel decides what to translate. Listeners see a NEW with the caller's port id.
// Equivalent: `conntrack -I`.
func Create(ns *topology.Namespace, entries ...Entry) error {
	err := with(ns, func(c *conn) error {
		for _, e := range entries {
			if err := c.create(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create in conntrack of %s: %w", ns.Name(), err)
	}
	return nil
}

func (c *conn) create(e Entry) error {
	attrs, err := e.attributes()
	if err != nil {
		return err
	}
	flags := unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_EXCL
	return explain(c.do(msgNew, flags, e.Original.family(), attrs, nil), e.Original)
}

// attributes encodes what the kernel needs to make the entry.
func (e Entry) attributes() ([]*nl.RtAttr, error) {
	if e.Reply == (Tuple{}) {
		e.Reply = e.Original.Invert()
	}
	original, err := e.Original.attribute(ctaTupleOrig)
	if err != nil {
		return nil, err
	}
	reply, err := e.Reply.attribute(ctaTupleReply)
	if err != nil {
		return nil, err
	}
	seconds, err := wholeSeconds(e.Timeout)
	if err != nil {
		return nil, err
	}
	attrs := []*nl.RtAttr{original, reply, number32(ctaTimeout, seconds)}
	if status := e.Status & creatableStatus; status != 0 {
		attrs = append(attrs, number32(ctaStatus, uint32(status|StatusConfirmed)))
	}
	if e.HasTCP {
		state := nl.NewRtAttr(ctaProtoInfoTCPState, []byte{uint8(e.TCP)})
		attrs = append(attrs, nested(ctaProtoInfo, nested(ctaProtoInfoTCP, state)))
	}
	if e.HasMark {
		attrs = append(attrs, number32(ctaMark, e.Mark))
	}
	return attrs, nil
}
