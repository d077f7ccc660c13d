package scenario

import (
	"embed"
	"path"
	"regexp"
	"strings"
	"sync"
)

// The functions of which a script takes those that it needs stand in files of their own, so that they can be read, and
// checked, as the shell they are.
//
//go:embed script/*.sh
var scriptFiles embed.FS

// scriptFunction is one function of the library.
type scriptFunction struct {
	// text is the function with the comment before it, body is without.
	text, body string
	// called finds a call of it.
	called *regexp.Regexp
}

var scriptName = regexp.MustCompile(`(?m)^([a-z_]+)\(\) \{`)

// beforeCall is what may stand before a command.
const beforeCall = `(?m)(^\s*|\$\(|; |\{ |\| |! |&& |\|\| |\b(?:do|if|then|else|until|while) )`

// scriptLibrary is all functions in the order of the files: a block between blank lines is one.
var scriptLibrary = sync.OnceValue(func() []scriptFunction {
	var out []scriptFunction
	for _, file := range []string{"say", "world", "conntrack", "programs", "changes", "end"} {
		data, err := scriptFiles.ReadFile(path.Join("script", file+".sh"))
		if err != nil {
			panic("scenario: " + err.Error()) // it is embedded
		}
		for block := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n\n") {
			name := scriptName.FindStringSubmatchIndex(block)
			if name == nil {
				panic("scenario: no function in a block of " + file + ".sh: " + block)
			}
			out = append(out, scriptFunction{text: block, body: block[name[0]:],
				called: regexp.MustCompile(beforeCall + block[name[2]:name[3]] + `($|[ );])`)})
		}
	}
	return out
})
