package cmdline

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/internal/strictyaml"
)

// Arrange puts the arguments into the one order urfave/cli understands: command, flags, "--", operands. Flags may thus
// stand anywhere, before the command too; what comes after "--" is never a flag. Unknown commands and flags are found
// here, where the nearest valid one is known.
func (inv *Call) Arrange(all []*cli.Command) ([]string, error) {
	program, args := inv.Args[0], slices.Clone(inv.Args[1:])
	if len(args) == 0 {
		return []string{program, "--help"}, nil
	}
	switch args[0] {
	case "--version":
		args[0] = "version"
	case "-h", "--help", "help":
		if len(args) == 1 {
			return []string{program, "--help"}, nil
		}
		args = append(args[1:], "--help")
	}
	words := []string{program}
	for level := all; ; {
		if len(words) > 1 && args[0] == "help" { // `ctsim lab help up`
			args = append(slices.Clone(args[1:]), "--help")
		}
		i, command, err := inv.next(words, level, args)
		if err != nil {
			return nil, err
		}
		words = append(words, command.Name)
		args = slices.Concat(args[:i], args[i+1:])
		if level = command.Subcommands; len(level) > 0 && len(args) > 0 && !isHelp(args) {
			continue
		}
		if len(level) > 0 {
			return append(words, "--help"), nil
		}
		flags, operands, err := inv.split(strings.Join(words[1:], " "), command, args)
		if err != nil {
			return nil, err
		}
		return slices.Concat(words, flags, []string{"--"}, operands), nil
	}
}

// isHelp tells whether nothing but help is asked for.
func isHelp(args []string) bool {
	return len(args) == 1 && slices.Contains([]string{"-h", "--help", "help"}, args[0])
}

// next finds the command of one level: the first argument, or if that is a flag the first one that is a command.
func (inv *Call) next(words []string, level []*cli.Command, args []string) (int, *cli.Command, error) {
	i := 0
	if strings.HasPrefix(args[0], "-") {
		i = slices.IndexFunc(args, func(a string) bool { return CommandNamed(level, a) != nil })
		if i < 0 {
			return 0, nil, inv.Usage(strings.Join(words[1:], " "), "no command in front of %s", args[0])
		}
	}
	command := CommandNamed(level, args[i])
	if command == nil {
		return 0, nil, inv.unknownCommand(words, level, args[i])
	}
	return i, command, nil
}

// split tells a command's flags, with their values, from its operands.
func (inv *Call) split(name string, command *cli.Command, args []string) (flags, operands []string, err error) {
	var seen []cli.Flag
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return flags, append(operands, args[i+1:]...), nil
		}
		if len(arg) < 2 || arg[0] != '-' { // "-" alone is stdin
			operands = append(operands, arg)
			continue
		}
		word, _, hasValue := strings.Cut(arg, "=")
		flag, known := FlagNamed(command, word)
		if !known && len(operands) > 0 && strings.Contains(command.ArgsUsage, " -- ") {
			return nil, nil, UsageHint(inv.withDashes(operands, arg), "unknown flag %s of %s: a command with flags comes after --", word, name)
		}
		if !known {
			return nil, nil, inv.unknownFlag(name, command, word)
		}
		if flag == nil { // help answers, whatever else is asked
			return []string{arg}, nil, nil
		}
		flags = append(flags, arg)
		if !TakesValue(flag) {
			continue
		}
		if slices.Contains(seen, flag) {
			return nil, nil, inv.Usage(name, "%s is given twice", word)
		}
		seen = append(seen, flag)
		if hasValue {
			continue
		}
		if i++; i == len(args) {
			return nil, nil, inv.Usage(name, "%s needs a value", word)
		}
		flags = append(flags, args[i])
	}
	return flags, operands, nil
}

// withDashes is the command line as typed, with -- behind the first operand.
func (inv *Call) withDashes(operands []string, flag string) string {
	before := append(slices.Clone(operands), flag)[1]
	args := slices.Clone(inv.Args)
	if i := slices.Index(args, operands[0]); i >= 0 {
		if j := slices.Index(args[i+1:], before); j >= 0 {
			args = slices.Insert(args, i+1+j, "--")
		}
	}
	return Join(args)
}

func (inv *Call) unknownCommand(words []string, level []*cli.Command, name string) error {
	var names []string
	for _, c := range level {
		if !c.Hidden {
			names = append(names, c.Names()...)
		}
	}
	if near := strictyaml.Nearest(name, names); near != "" {
		return UsageHint(inv.Retyped(name, near), "unknown command %q", name)
	}
	return inv.Usage(strings.Join(words[1:], " "), "unknown command %q", name)
}

func (inv *Call) unknownFlag(name string, command *cli.Command, word string) error {
	if near := strictyaml.Nearest(word, dashed(command)); near != "" {
		return UsageHint(inv.Retyped(word, near), "unknown flag %s of %s", word, name)
	}
	return inv.Usage(name, "unknown flag %s of %s", word, name)
}

// CommandNamed is the command of one level that has the name; nil if none has.
func CommandNamed(all []*cli.Command, name string) *cli.Command {
	for _, c := range all {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// FlagNamed finds the flag of a command that word names; known is true and flag nil for --help, which all have.
func FlagNamed(command *cli.Command, word string) (flag cli.Flag, known bool) {
	name := strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-")
	if name == "h" || name == "help" {
		return nil, true
	}
	for _, f := range command.Flags {
		if slices.Contains(f.Names(), name) {
			return f, true
		}
	}
	return nil, false
}

// dashed are the long flags of a command as typed. Single letters are near to everything.
func dashed(command *cli.Command) []string {
	out := []string{"--help"}
	for _, f := range command.Flags {
		for _, name := range f.Names() {
			if len(name) > 1 {
				out = append(out, "--"+name)
			}
		}
	}
	return out
}

// TakesValue is false for a flag that is only there or not.
func TakesValue(f cli.Flag) bool {
	v, ok := f.(cli.DocGenerationFlag)
	return ok && v.TakesValue()
}
