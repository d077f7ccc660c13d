package trial

import (
	"sync"

	"github.com/ctsim/ctsim/internal/fault"
)

// Fault is one that can be planted into accounts or verdict: its name, and what goes wrong.
type Fault struct{ Name, Text string }

// Faults are all that can be planted. A test holds the list against the places that ask for them.
var Faults = []Fault{
	{"reset-not-looked-for", "a RST that the application has not looked at yet counts as nothing"},
	{"retransmissions-ignored", "bytes that are sent again and again count as delivered"},
	{"half-open-ignored", "the peer left behind is not mentioned"},
	{"half-open-always", "every reset is said to leave a peer behind"},
	{"wrong-side", "the error is ascribed to the other side"},
	{"last-error", "the last error is told as the first"},
	{"server-errors-ignored", "what the server's program met counts as nothing"},
	{"epipe-as-timeout", "EPIPE is taken for a timeout"},
	{"refused-as-timeout", "ECONNREFUSED is taken for a timeout"},
	{"timeout-as-hang", "ETIMEDOUT is taken for a hang"},
	{"wrong-backend-survived", "an answer of another application counts as survival"},
	{"lost-counted-received", "a message that nobody received counts as received"},
	{"lost-counts-failures", "a send that failed counts as a lost message"},
	{"break-time-ignored", "the time of the last break is not looked at"},
	{"expiry-is-no-break", "an entry that expired was not broken"},
	{"flush-is-no-break", "an entry that was flushed was not broken"},
	{"rerouted-by-count", "two entries are two backends"},
	{"one-is-enough", "one connection that meets an expectation is enough"},
	{"last-is-spared", "the last connection is not looked at"},
	{"never-passes", "a packet that must never be seen may be"},
	{"any-packet-serves", "any packet is the packet expected"},
	{"loss-ignored", "an absence counts although observations were lost"},
	{"unwatched-passes", "what nobody watched is as expected"},
	{"share-unbounded", "every share is within what chance allows"},
	{"interrupted-passes", "a run that was interrupted can pass"},
	{"connection-any-outcome", "a connection named by its number may end in any way"},
	{"errno-any", "any errno will do"},
	{"fin-counted-acknowledged", "a FIN that is lost counts as acknowledged"},
	{"ends-need-not-agree", "a connection survives although its ends do not agree"},
	{"undelivered-survives", "a connection survives although a message never arrived"},
	{"unused-survives", "a connection that was never used again survives"},
	{"datagram-loss-ignored", "a datagram that nobody received counts as nothing"},
	{"empty-set-passes", "what is expected of nobody passes"},
}

var planting sync.Mutex

// FindingsWith are the findings with a fault planted, in a build that can; the empty name is none.
func (t *Trial) FindingsWith(name string) []Finding {
	planting.Lock()
	defer planting.Unlock()
	fault.Plant(name)
	defer fault.Plant("")
	return t.Findings()
}
