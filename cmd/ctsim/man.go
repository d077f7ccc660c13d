package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func manCommand(inv *invocation) *cli.Command {
	return &cli.Command{
		Name:  "man",
		Usage: "print the manual page",
		Description: "Prints the page in the man(7) language, made from the --help of every command.\n\n" +
			"   ctsim man | man -l -\n" +
			"   ctsim man > /usr/local/share/man/man1/ctsim.1",
		Action: inv.man,
	}
}

func (inv *invocation) man(c *cli.Context) error {
	if c.NArg() > 0 {
		return inv.Usage("man", "man takes no operand, got %q", c.Args().First())
	}
	_, err := inv.Stdout.Write([]byte(manual(c.App)))
	return err
}

// manual is the page of all commands.
func manual(app *cli.App) string {
	var p page
	p.macro("TH", "CTSIM", "1", "", "ctsim "+thisBuild().Version, "User Commands")
	p.macro("SH", "NAME")
	p.text(app.Name + " - " + app.Usage)
	p.macro("SH", "SYNOPSIS")
	for i, c := range app.Commands {
		if c.Hidden {
			continue
		}
		if i > 0 {
			p.macro("br")
		}
		p.macro("B", app.Name+" "+c.Name)
		p.text(synopsis(c))
	}
	p.macro("SH", "DESCRIPTION")
	p.prose(strings.TrimSuffix(app.Description, exitCodes))
	p.macro("SH", "COMMANDS")
	p.text("Flags may come before or after operands; everything after -- is an operand. Every command has --help.")
	for _, c := range app.Commands {
		p.command(app.Name, c)
	}
	p.macro("SH", "EXIT STATUS")
	p.text(strings.TrimPrefix(exitCodes, "Exit codes: "))
	p.macro("SH", "ENVIRONMENT")
	p.item("NO_COLOR", "If set, text is not coloured unless --color always is given.")
	p.item("PATH", "Where iptables is looked for first, then /usr/sbin, /sbin and /usr/local/sbin.")
	p.macro("SH", "SEE ALSO")
	p.text("conntrack(8), iptables(8), ip-netns(8), network_namespaces(7), user_namespaces(7)")
	return p.String()
}

// synopsis is what comes after the name of a command.
func synopsis(c *cli.Command) string {
	var parts []string
	if slices.ContainsFunc(c.Flags, documented) {
		parts = append(parts, "[flags]")
	}
	if len(c.Subcommands) > 0 {
		parts = append(parts, "COMMAND")
	}
	return strings.TrimSpace(strings.Join(append(parts, c.ArgsUsage), " "))
}

// page is a text in the man(7) language.
type page struct{ strings.Builder }

// command is the section of a command and of those below it.
func (p *page) command(above string, c *cli.Command) {
	if c.Hidden {
		return
	}
	name := above + " " + c.Name
	p.macro("SS", strings.TrimSpace(name+" "+synopsis(c)))
	p.text(strings.ToUpper(c.Usage[:1]) + c.Usage[1:] + ".")
	p.macro("PP")
	p.prose(strings.TrimSuffix(c.Description, exitCodes))
	for _, f := range c.Flags {
		p.flag(f)
	}
	for _, sub := range c.Subcommands {
		p.command(name, sub)
	}
}

// documented is true for the flags of a command's own; urfave/cli adds --help to the one that runs.
func documented(f cli.Flag) bool {
	_, ok := f.(cli.DocGenerationFlag)
	return ok && !slices.Contains(f.Names(), "help")
}

func (p *page) flag(f cli.Flag) {
	if !documented(f) {
		return
	}
	d := f.(cli.DocGenerationFlag)
	names := slices.Clone(f.Names())
	for i, n := range names {
		names[i] = "--" + n
		if len(n) == 1 {
			names[i] = "-" + n
		}
	}
	head, usage := strings.Join(names, ", "), d.GetUsage()
	if m := valuePattern.FindStringSubmatch(usage); m != nil && d.TakesValue() {
		head += " " + m[1]
	}
	usage = strings.ReplaceAll(usage, "`", "")
	if standard := d.GetDefaultText(); standard != "" && d.TakesValue() {
		usage += fmt.Sprintf(" (default: %s)", strings.Trim(standard, `"`))
	}
	p.item(head, usage)
}

// item is a word and, indented below it, what it means.
func (p *page) item(head, text string) {
	p.macro("TP")
	p.macro("B", head)
	p.text(text)
}

// prose is text as in the help: paragraphs, and lines to type that are indented by three spaces.
func (p *page) prose(text string) {
	typing := false
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimSuffix(line, "\n")
		shown, toType := strings.CutPrefix(line, "   ")
		switch {
		case toType && !typing:
			p.macro("RS", "4")
			p.macro("nf")
		case !toType && typing:
			p.macro("fi")
			p.macro("RE")
		}
		typing = toType
		switch {
		case toType:
			p.text(shown)
		case line == "":
			p.macro("PP")
		default:
			p.text(line)
		}
	}
	if typing {
		p.macro("fi")
		p.macro("RE")
	}
}

var escapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "~", `\(ti`, "^", `\(ha`, "`", `\(ga`, "'", `\(aq`)

// text is text as it is, whatever it begins with.
func (p *page) text(s string) {
	if s == "" {
		return
	}
	s = escapes.Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	p.WriteString(s + "\n")
}

// macro is a request with its arguments.
func (p *page) macro(name string, args ...string) {
	p.WriteString("." + name)
	for _, a := range args {
		p.WriteString(` "` + strings.ReplaceAll(escapes.Replace(a), `"`, `\(dq`) + `"`)
	}
	p.WriteString("\n")
}
