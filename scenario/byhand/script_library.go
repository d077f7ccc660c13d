package byhand

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
	name string
	// text is the function with the comment before it, body is without.
	text, body string
}

var scriptName = regexp.MustCompile(`(?m)^([a-z_]+)\(\) \{`)

var (
	shellWord = regexp.MustCompile(`[a-z_]+`)
	// beforeCommand is what a line may hold before a command.
	beforeCommand = regexp.MustCompile(`(^\s*|\$\(|; |\{ |\| |! |&& |\|\| |\b(do|if|then|else|until|while) )$`)
)

// functionsIn tells which of the functions a text of shell calls, by their names.
func functionsIn(text string, functions map[string]int) map[int]bool {
	out := map[int]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for _, at := range shellWord.FindAllStringIndex(line, -1) {
			i, known := functions[line[at[0]:at[1]]]
			after := line[at[1]:]
			if known && !out[i] && (after == "" || strings.ContainsRune(" );", rune(after[0]))) &&
				beforeCommand.MatchString(line[:at[0]]) {
				out[i] = true
			}
		}
	}
	return out
}

// scriptLibrary is all functions in the order of the files: a block between blank lines is one.
var scriptLibrary = sync.OnceValue(func() []scriptFunction {
	var out []scriptFunction
	for _, file := range []string{"say", "world", "conntrack", "programs", "changes", "facts", "end"} {
		data, err := scriptFiles.ReadFile(path.Join("script", file+".sh"))
		if err != nil {
			panic("scenario: " + err.Error()) // it is embedded
		}
		for block := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n\n") {
			name := scriptName.FindStringSubmatchIndex(block)
			if name == nil {
				panic("scenario: no function in a block of " + file + ".sh: " + block)
			}
			out = append(out, scriptFunction{block[name[2]:name[3]], block, block[name[0]:]})
		}
	}
	return out
})
