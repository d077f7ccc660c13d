package main

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/cmd/ctsim/cmdline"
	"github.com/ctsim/ctsim/cmd/ctsim/labs"
	"github.com/ctsim/ctsim/cmd/ctsim/library"
	"github.com/ctsim/ctsim/doctor"
	"github.com/ctsim/ctsim/internal/printable"
	"github.com/ctsim/ctsim/lab"
)

// candidate is a word that can come next, and what it is.
type candidate struct{ word, about string }

// typed is what is known from the words before the one that is completed.
type typed struct {
	inv      *invocation
	command  *cli.Command // nil before there is one
	flag     cli.Flag     // that wants its value; nil if none does
	operands []string
	literal  bool // after "--"
	given    []cli.Flag
	file     string // value of --file
	lab      string // value of --lab
}

// kinds are the words that help uses for operands and values of flags, and what can stand there. A command whose ArgsUsage
// has one of them is completed without further ado.
var kinds = map[string]func(typed, string) []candidate{
	"NAME":  func(t typed, _ string) []candidate { return t.scenarios() },
	"CHECK": func(typed, string) []candidate { return plainWords(doctor.Names()) },
	"SHELL": func(typed, string) []candidate { return plainWords(shells) },
	"FILE":  func(_ typed, word string) []candidate { return []candidate{{":files", word}} },
	"LAB":   func(t typed, _ string) []candidate { return t.labs() },
	"POD":   func(t typed, _ string) []candidate { return t.places((*lab.Record).Places) },
	"NODE":  func(t typed, _ string) []candidate { return t.places((*lab.Record).Nodes) },
	"DIR":   func(_ typed, word string) []candidate { return []candidate{{":dirs", word}} },
}

func plainWords(words []string) (all []candidate) {
	for _, w := range words {
		all = append(all, candidate{w, ""})
	}
	return all
}

// candidates are what can come in place of the last word.
func (inv *invocation) candidates(level []*cli.Command, words []string) []candidate {
	if len(words) == 0 {
		words = []string{""}
	}
	t, last, helping := typed{inv: inv}, words[len(words)-1], false
	for i, word := range words[:len(words)-1] {
		if i == 0 && word == "help" {
			helping = true
			continue
		}
		level = t.take(level, word)
	}
	name, value, hasValue := strings.Cut(last, "=")
	switch {
	case t.flag != nil:
		return beginning(last, t.values(t.flag, last))
	case strings.HasPrefix(last, "-") && !t.literal && t.command != nil && hasValue:
		flag, _ := cmdline.FlagNamed(t.command, name)
		if flag == nil {
			return nil
		}
		all := t.values(flag, value)
		for i := range all {
			if !strings.HasPrefix(all[i].word, ":") {
				all[i].word = name + "=" + all[i].word
			}
		}
		return beginning(last, all)
	case strings.HasPrefix(last, "-") && !t.literal:
		return beginning(last, t.flags())
	case t.command == nil, helping, len(t.command.Subcommands) > 0 && len(t.operands) == 0:
		all := commandWords(level)
		if t.command == nil && !helping {
			all = append(all, candidate{"help", "print help, for a command too"})
		}
		return beginning(last, all)
	}
	return beginning(last, t.operand(last))
}

// take goes on by one finished word and gives the commands that can come next.
func (t *typed) take(level []*cli.Command, word string) []*cli.Command {
	if t.flag != nil {
		t.took(t.flag, word)
		t.flag = nil
		return level
	}
	switch {
	case t.literal:
		t.operands = append(t.operands, word)
	case word == "--":
		t.literal = true
	case strings.HasPrefix(word, "-") && word != "-" && t.command != nil:
		name, value, hasValue := strings.Cut(word, "=")
		flag, _ := cmdline.FlagNamed(t.command, name)
		if flag == nil {
			return level
		}
		t.given = append(t.given, flag)
		if cmdline.TakesValue(flag) && !hasValue {
			t.flag = flag
		} else {
			t.took(flag, value)
		}
	default:
		if c := cmdline.CommandNamed(level, word); c != nil && len(t.operands) == 0 {
			t.command = c
			return c.Subcommands
		}
		t.operands = append(t.operands, word)
	}
	return level
}

// took notes the value of a flag on which later candidates depend.
func (t *typed) took(flag cli.Flag, value string) {
	switch flag.Names()[0] {
	case "file":
		t.file = value
	case "lab":
		t.lab = value
	}
}

// beginning leaves out what does not begin with a word; :files and :dirs stay.
func beginning(word string, all []candidate) []candidate {
	return slices.DeleteFunc(all, func(c candidate) bool {
		return !strings.HasPrefix(c.word, word) && !strings.HasPrefix(c.word, ":")
	})
}

func commandWords(level []*cli.Command) (all []candidate) {
	for _, c := range level {
		if !c.Hidden {
			all = append(all, candidate{c.Name, c.Usage})
		}
	}
	return all
}

// flags are those of the command that can still be given.
func (t typed) flags() []candidate {
	all := []candidate{{"--help", "print help"}}
	if t.command == nil {
		return append(all, candidate{"--version", "print the versions of ctsim, Go and the kernel"})
	}
	for _, f := range t.command.Flags {
		d, ok := f.(cli.DocGenerationFlag)
		if ok && !slices.Contains(t.given, f) {
			all = append(all, candidate{"--" + f.Names()[0], strings.ReplaceAll(d.GetUsage(), "`", "")})
		}
	}
	return all
}

var (
	valuePattern = regexp.MustCompile("`([A-Z]+)`")
	wordsPattern = regexp.MustCompile("`[A-Z]+`: ([^;]*)")
	kindPattern  = regexp.MustCompile(`[A-Z]{2,}`)
)

// values are what can be given to a flag: the words that its help lists after the name of the value, or what that name
// stands for.
func (t typed) values(f cli.Flag, word string) (all []candidate) {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return nil
	}
	if m := wordsPattern.FindStringSubmatch(d.GetUsage()); m != nil {
		return plainWords(strings.FieldsFunc(strings.ReplaceAll(m[1], "or some of", ","), func(r rune) bool {
			return r == ',' || r == ' '
		}))
	}
	if m := valuePattern.FindStringSubmatch(d.GetUsage()); m != nil && kinds[m[1]] != nil {
		return kinds[m[1]](t, word)
	}
	return nil
}

// operand is what can come as the next operand: what the command's ArgsUsage says of it; its last word may be repeated.
func (t typed) operand(word string) []candidate {
	names := kindPattern.FindAllString(t.command.ArgsUsage, -1)
	if len(names) == 0 || len(t.operands) >= len(names) && !strings.Contains(t.command.ArgsUsage, "…") {
		return nil
	}
	kind := kinds[names[min(len(t.operands), len(names)-1)]]
	if kind == nil {
		return nil
	}
	return slices.DeleteFunc(kind(t, word), func(c candidate) bool { return slices.Contains(t.operands, c.word) })
}

// library is that of --file, or the built-in one.
func (t typed) library() (*library.Library, error) {
	if t.file == "" {
		return library.BuiltIn()
	}
	return library.Read(t.inv.Call, t.file)
}

// scenarios are those of --file, or the built-in ones. Of a file that is not right, or of stdin, nothing is known.
func (t typed) scenarios() (all []candidate) {
	if t.file == "-" {
		return nil
	}
	l, err := t.library()
	if err != nil {
		return nil
	}
	for _, s := range l.Scenarios {
		all = append(all, candidate{s.Name, printable.Line(s.Title)})
	}
	return all
}

// labs are the user's labs, and the ones that could still be made are not known.
func (t typed) labs() (all []candidate) {
	entries, err := labs.Entries(t.inv.Call)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		all = append(all, candidate{e.Name, string(e.State) + ", " + e.Service})
	}
	return all
}

// places are pods or nodes of the lab that the command line means.
func (t typed) places(of func(*lab.Record) []string) []candidate {
	if t.literal {
		return nil
	}
	name := t.lab
	if name == "" {
		name = os.Getenv(lab.NameVariable)
	}
	record, err := labs.Chosen(t.inv.Call, name)
	if err != nil {
		return nil
	}
	return plainWords(of(record))
}
