package account

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/evidence"
)

// Balance is both ends of a connection, drawn up from all that was seen of it: the outcome is read off it, and an outcome
// that no item shows is Unknown.
type Balance []Item

// Item is one line of a balance.
type Item struct {
	What ItemKind `json:"what"`
	// Side is client or server: whose socket, message, FIN or error it is, or whom a RST or an ICMP error reached; empty of
	// what belongs to neither. At is the pod or node.
	Side string `json:"side,omitempty"`
	At   string `json:"at,omitempty"`
	Text string `json:"text"`
	// Decides is true if the outcome rests on it.
	Decides bool `json:"decides,omitempty"`
	// Facts are the places in the timeline, from 0, of the observations that it rests on, in order; empty if it rests on
	// something not having been seen.
	Facts []int `json:"facts,omitempty"`
}

// ItemKind is what a line of a balance is about.
type ItemKind string

// The kinds of items.
const (
	ItemSocket   ItemKind = "socket"   // the last state of a socket: queues, what is unacknowledged, the error that waits
	ItemMessages ItemKind = "messages" // what was handed to a kernel, and what of it arrived, and where
	ItemFIN      ItemKind = "fin"      // the end of a side's stream, and whether it was acknowledged
	ItemRST      ItemKind = "rst"      // a RST, and whom it reached
	ItemICMP     ItemKind = "icmp"     // an ICMP error, and whom it reached
	ItemError    ItemKind = "error"    // the first error that a program was told
	ItemUse      ItemKind = "use"      // whether the connection was used after the last break
	ItemUnseen   ItemKind = "unseen"   // what was not watched, or was lost, and would have to be known
)

// ItemKinds are all kinds of items.
var ItemKinds = []ItemKind{ItemSocket, ItemMessages, ItemFIN, ItemRST, ItemICMP, ItemError, ItemUse, ItemUnseen}

// drawing is a balance while it is drawn up: its items with the facts that they rest on, before the timeline is there.
type drawing []drawn

type drawn struct {
	Item
	facts []any
}

// add puts an item on the balance.
func (d *drawing) add(what ItemKind, side, at, text string, facts ...any) {
	*d = append(*d, drawn{Item{What: what, Side: side, At: at, Text: text}, on(facts...)})
}

// decide marks the items of these kinds as those that the outcome rests on; side is client or server, or empty for both.
func (d drawing) decide(side string, kinds ...ItemKind) {
	for i := range d {
		if slices.Contains(kinds, d[i].What) && (side == "" || d[i].Side == side) {
			d[i].Decides = true
		}
	}
}

// sort puts the items into one order: by kind, the client's first.
func (d drawing) sort() {
	slices.SortStableFunc(d, func(x, y drawn) int {
		return cmp.Or(cmp.Compare(slices.Index(ItemKinds, x.What), slices.Index(ItemKinds, y.What)), cmp.Compare(x.Side, y.Side))
	})
}

// done gives the balance to the account.
func (d drawing) done(a *Account) {
	a.Balance, a.itemFacts = Balance{}, nil
	for _, one := range d {
		a.Balance, a.itemFacts = append(a.Balance, one.Item), append(a.itemFacts, one.facts)
	}
}

// Why are the items that the outcome rests on, in words; empty if there are none.
func (b Balance) Why() string {
	var words []string
	for n, i := range b {
		if !i.Decides {
			continue
		}
		if n > 0 && b[n-1].Decides && b[n-1].Text == "the client's socket is ESTABLISHED" && i.Text == i.At+"'s socket is ESTABLISHED" {
			words[len(words)-1] = "both sockets are ESTABLISHED"
			continue
		}
		words = append(words, i.Text)
	}
	return strings.Join(words, "; ")
}

// PlaceItems fills in where the facts of every account's items stand in the timeline.
func PlaceItems(accounts []*Account, t evidence.Timeline) {
	wanted := map[any]bool{}
	for _, a := range accounts {
		for _, facts := range a.itemFacts {
			for _, f := range facts {
				wanted[f] = true
			}
		}
	}
	places := t.Places(wanted)
	for _, a := range accounts {
		for n, facts := range a.itemFacts {
			var all []int
			for _, f := range facts {
				if at, ok := places[f]; ok {
					all = append(all, at)
				}
			}
			slices.Sort(all)
			a.Balance[n].Facts = slices.Compact(all)
		}
	}
}

// States are the last states of sockets that sentences and items rest on, each once: no sample shows the same.
func States(told []claim, accounts []*Account) []*evidence.LastState {
	out, known := []*evidence.LastState{}, map[*evidence.LastState]bool{}
	add := func(l *evidence.LastState) {
		if !known[l] {
			known[l], out = true, append(out, l)
		}
	}
	for _, l := range LastStates(told) {
		add(l)
	}
	for _, a := range accounts {
		for _, facts := range a.itemFacts {
			for _, f := range facts {
				if l, ok := f.(*evidence.LastState); ok {
					add(l)
				}
			}
		}
	}
	return out
}
