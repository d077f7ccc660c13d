package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctsim/ctsim/scenario"
)

// arrange puts the arguments into the one order urfave/cli understands: command, flags, "--", operands. Flags may thus
// stand anywhere, before the command too; what comes after "--" is never a flag. Unknown commands and flags are found
// here, where the nearest valid one is known.
func (inv *invocation) arrange(all []*cli.Command) ([]string, error) {
	program, args := inv.args[0], slices.Clone(inv.args[1:])
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
	if strings.HasPrefix(args[0], "-") {
		i := slices.IndexFunc(args, func(a string) bool { return commandNamed(all, a) != nil })
		if i < 0 {
			return nil, inv.usage("", "no command in front of %s", args[0])
		}
		args = slices.Concat(args[i:i+1], args[:i], args[i+1:])
	}
	command := commandNamed(all, args[0])
	if command == nil {
		return nil, inv.unknownCommand(all, args[0])
	}
	flags, operands, err := inv.split(command, args[1:])
	if err != nil {
		return nil, err
	}
	return slices.Concat([]string{program, args[0]}, flags, []string{"--"}, operands), nil
}

// split tells a command's flags, with their values, from its operands.
func (inv *invocation) split(command *cli.Command, args []string) (flags, operands []string, err error) {
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
		flag, known := flagNamed(command, word)
		if !known {
			return nil, nil, inv.unknownFlag(command, word)
		}
		if flag == nil { // help answers, whatever else is asked
			return []string{arg}, nil, nil
		}
		flags = append(flags, arg)
		if !takesValue(flag) {
			continue
		}
		if slices.Contains(seen, flag) {
			return nil, nil, inv.usage(command.Name, "%s is given twice", word)
		}
		seen = append(seen, flag)
		if hasValue {
			continue
		}
		if i++; i == len(args) {
			return nil, nil, inv.usage(command.Name, "%s needs a value", word)
		}
		flags = append(flags, args[i])
	}
	return flags, operands, nil
}

func (inv *invocation) unknownCommand(all []*cli.Command, name string) error {
	var names []string
	for _, c := range all {
		if !c.Hidden {
			names = append(names, c.Names()...)
		}
	}
	if near := scenario.Nearest(name, names); near != "" {
		return usageHint(inv.retyped(name, near), "unknown command %q", name)
	}
	return inv.usage("", "unknown command %q", name)
}

func (inv *invocation) unknownFlag(command *cli.Command, word string) error {
	if near := scenario.Nearest(word, dashed(command)); near != "" {
		return usageHint(inv.retyped(word, near), "unknown flag %s of %s", word, command.Name)
	}
	return inv.usage(command.Name, "unknown flag %s of %s", word, command.Name)
}

func commandNamed(all []*cli.Command, name string) *cli.Command {
	for _, c := range all {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// flagNamed finds the flag of a command that word names; known is true and flag nil for --help, which all have.
func flagNamed(command *cli.Command, word string) (flag cli.Flag, known bool) {
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

func takesValue(f cli.Flag) bool {
	v, ok := f.(cli.DocGenerationFlag)
	return ok && v.TakesValue()
}
