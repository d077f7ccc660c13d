// Package modes is the table of kube-proxy's modes that ctsim knows. A new mode is a package and a line here.
package modes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/dataplane"
	"github.com/ctsim/ctsim/iptables"
)

// table is all modes, the one that is meant if none is named first.
var table = []struct {
	name string
	// flavours are what may be asked for where a mode can work on more than one of the kernel's engines.
	flavours []string
	with     func(flavour string) dataplane.Mode
}{
	{"iptables", []string{string(iptables.NFT), string(iptables.Legacy)}, func(flavour string) dataplane.Mode {
		return iptables.Mode{Flavour: iptables.Flavour(flavour)}
	}},
}

// Find gives the mode of that name, as kube-proxy's --proxy-mode has it, in a flavour. Empty names are the first mode
// of the table and the machine's own flavour. The error names what there is.
func Find(name, flavour string) (dataplane.Mode, error) {
	for i, m := range table {
		if m.name != name && (name != "" || i > 0) {
			continue
		}
		if flavour != "" && !slices.Contains(m.flavours, flavour) {
			return nil, fmt.Errorf("%s mode has no flavour %q, expected one of %s", m.name, flavour, strings.Join(m.flavours, ", "))
		}
		return m.with(flavour), nil
	}
	return nil, fmt.Errorf("unknown mode %q, expected one of %s", name, strings.Join(Names(), ", "))
}

// Names are the names of all modes, the default first.
func Names() []string {
	names := make([]string, len(table))
	for i, m := range table {
		names[i] = m.name
	}
	return names
}

// Flavours are those that can be asked for of a mode; nil if it has none, or is unknown.
func Flavours(mode string) []string {
	for _, m := range table {
		if m.name == mode {
			return slices.Clone(m.flavours)
		}
	}
	return nil
}
