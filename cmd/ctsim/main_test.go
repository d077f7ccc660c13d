package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ctsim/ctsim/cmd/ctsim/systemtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ctsim": main})
}

// TestScript runs the command lines in testdata/script. Those whose names begin with kernel- build real worlds.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(condition string) (bool, error) {
			return condition == "kernel" && systemtest.HaveKernel(t), nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"json": checkJSON,
		},
	})
}

// checkJSON is the script command `json stdout key=value…`: what was written is one JSON document, or with `jsonl` lines
// of them, and its top level (the last line's) has these values. A dot goes one level down.
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: json FILE [KEY=VALUE…]")
	}
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	var document any
	documents := 0
	for ; decoder.More(); documents++ {
		document = nil
		ts.Check(decoder.Decode(&document))
	}
	if documents == 0 {
		ts.Fatalf("%s holds no JSON", args[0])
	}
	for _, arg := range args[1:] {
		key, want, _ := strings.Cut(arg, "=")
		value := document
		for step := range strings.SplitSeq(key, ".") {
			object, ok := value.(map[string]any)
			if list, isList := value.([]any); isList && len(list) > 0 {
				object, ok = list[0].(map[string]any)
			}
			if !ok {
				ts.Fatalf("%s: nothing there", key)
			}
			value = object[step]
		}
		got, err := json.Marshal(value)
		ts.Check(err)
		if trimmed := strings.Trim(string(got), `"`); trimmed != want {
			ts.Fatalf("%s is %s, want %s", key, trimmed, want)
		}
	}
}
