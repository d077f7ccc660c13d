package rulepath

import (
	"fmt"

	"github.com/ctsim/ctsim/probe/nlmsg"
)

// verdicts are the kernel's numbers: NF_DROP, NF_ACCEPT … and enum nft_verdicts.
var verdicts = map[int32]string{
	0: "DROP", 1: "ACCEPT", 2: "STOLEN", 3: "QUEUE", 4: "REPEAT", 5: "STOP",
	-1: "CONTINUE", -2: "BREAK", -3: "JUMP", -4: "GOTO", -5: "RETURN",
}

// verdictName puts a verdict and its chain, if it has one, into words.
func verdictName(code int32, chain string) string {
	name, ok := verdicts[code]
	if !ok {
		if name, ok = verdicts[code&0xff]; !ok || code < 0 {
			return fmt.Sprintf("verdict %d", code)
		}
		// The upper bits are a queue's number or an errno.
	}
	if chain != "" {
		return name + " " + chain
	}
	return name
}

// decodeVerdict reads NFTA_TRACE_VERDICT.
func decodeVerdict(b []byte) (string, error) {
	var code uint32
	var chain string
	err := nlmsg.EachAttribute(b, func(a nlmsg.Attribute) error {
		switch a.Type {
		case verdictCode:
			return a.Uint32(&code)
		case verdictChain:
			chain = a.Text()
		}
		return nil
	})
	return verdictName(int32(code), chain), err
}
