package byhand

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctsim/ctsim/scenario"
)

// Unscriptable is a step that cannot be written as shell: there is no command for it, or what it does depends on what
// only a run knows. Without a name of a step it is the scenario as a whole.
type Unscriptable struct {
	Scenario string
	Step     scenario.Step
	Reason   string
}

// Error says what cannot be written, and why.
func (u *Unscriptable) Error() string {
	if u.Step.Name == "" {
		return fmt.Sprintf("%s cannot be written as shell: %s", u.Scenario, u.Reason)
	}
	return fmt.Sprintf("%s: step %s cannot be written as shell: %s", u.Scenario, u.Step, u.Reason)
}

// Script is the scenario as a shell script (bash) that does with ip, iptables, sysctl, conntrack and `ctsim client` and
// `server` what a run does, in namespaces of its own, and prints what became of the connections. Its exit code is 0 if
// that is what the scenario expects of them, 1 if not, 3 if a command is missing and 4 if it cannot be told. The error
// is *Unscriptable. It needs no privileges; the script needs root or a user namespace, which it makes.
func Script(p *scenario.Plan) (string, error) {
	w := &scriptWriter{plan: p, rows: verbs, next: 1}
	if p.ExternalClient() || p.ExternalServer() {
		return "", w.cannot("its programs are not ctsim's client and server")
	}
	w.states = []endpointState{w.firstState()}
	if err := w.steps(p.Steps); err != nil {
		return "", err
	}
	rules, err := w.rules()
	if err != nil {
		return "", err
	}
	body := strings.Join([]string{
		section("what the script knows of the world"), w.facts(),
		rules,
		section("the world"), w.world(),
		section("who listens, before the first packet: else it hears nothing of the connection"),
		"listen\n" + w.servers(),
		section("the rules"), "install_rules\n",
		section("the case"), w.out.String(),
		section("what became of it"), w.expected() + "finish",
	}, "\n")
	return w.head() + scriptFunctions(body) + body + "\n", nil
}

// scriptWriter turns a scenario's steps into shell.
type scriptWriter struct {
	plan *scenario.Plan
	// rows is verbs, through a field because one of its rows leads back here.
	rows map[string]verb
	out  strings.Builder
	// depth is how many repeats the step at hand is in, step is that step.
	depth int
	step  scenario.Step
	// next is the number of the next connection, total how many there are in the end.
	next int
	// clients are the numbers of the first connection of each client.
	clients []int
	// states are what the endpoints may be at this point, variants all they can ever be.
	states   []endpointState
	variants []endpointState
	// crowded is true if they are too many.
	crowded bool
}

// line writes one line of the script, indented.
func (w *scriptWriter) line(format string, args ...any) {
	fmt.Fprintf(&w.out, "%s%s\n", strings.Repeat("\t", w.depth), fmt.Sprintf(format, args...))
}

func (w *scriptWriter) cannot(format string, args ...any) error {
	return &Unscriptable{w.plan.Scenario, w.step, fmt.Sprintf(format, args...)}
}

// steps writes each step with its description before it.
func (w *scriptWriter) steps(steps scenario.Steps) error {
	for i, step := range steps {
		if i > 0 && w.depth == 0 {
			w.line("")
		}
		w.step = step
		script := w.rows[step.Name].script
		if script == nil {
			return w.cannot("there is no command that does it")
		}
		says := "step"
		if w.breaks(step) {
			says = "breaks"
		}
		w.line("%s %s", says, ShellQuote(strings.Replace(step.Describe(), fmt.Sprintf(" %d bytes", scenario.MessageSize), " a message", 1)))
		if err := script(step, w); err != nil {
			return err
		}
		if w.crowded {
			return w.cannot("which endpoints are left then may be one of more than %d things", maxStates)
		}
	}
	return nil
}

// breaks tells whether a step may break connections without the script's hearing of it. Of a command that is what it does
// to the entries of a node that nobody listens to.
func (w *scriptWriter) breaks(step scenario.Step) bool {
	if e, ok := step.Verb.(*scenario.Exec); ok {
		return e.In != w.plan.Translates && slices.Contains(w.plan.NodeNames(), e.In)
	}
	return w.rows[step.Name].breaks
}

// section is a heading within the script.
func section(title string) string {
	return "# ---- " + title + " " + strings.Repeat("-", max(0, 112-len(title))) + "\n"
}

// expected is the shell of what must become of the connections.
func (w *scriptWriter) expected() string {
	x := w.plan.Expect
	total := w.next - 1
	rest := string(x.Outcome)
	if rest == "" { // a share says of no single connection what becomes of it
		rest = "any"
	}
	var b strings.Builder
	b.WriteString("# expected NUMBER: the outcome that the scenario expects of a connection.\nexpected() {\n\tcase $1 in\n")
	for _, c := range x.Connections {
		fmt.Fprintf(&b, "\t%d) echo %s ;;\n", c.ID, c.Outcome)
	}
	fmt.Fprintf(&b, "\t*) echo %s ;;\n\tesac\n}\n\n", rest)
	if x.Share == nil {
		b.WriteString("within_chance() { :; }\n\n")
	} else {
		low, high := x.Share.Allowed(total, len(w.plan.Servers))
		fmt.Fprintf(&b, "# within_chance: the share of %s is %s; all but one in a million runs lie in between.\n"+
			"within_chance() {\n\tlocal n\n\tn=$(cut -d ' ' -f 2 | grep -cx %s || true)\n\t[ \"$n\" -ge %d ] && [ \"$n\" -le %d ]\n}\n\n",
			x.Share.Of, x.Share.Probability, x.Share.Of, low, high)
	}
	fmt.Fprintf(&b, "connections=%d\n", total)
	return b.String()
}

// scriptFunctions are those of the library that the text calls, and those that they call.
func scriptFunctions(text string) string {
	used, names := map[int]bool{}, map[string]int{}
	library := scriptLibrary()
	for i, f := range library {
		names[f.name] = i
	}
	for texts := []string{text}; len(texts) > 0; texts = texts[1:] {
		for i := range functionsIn(texts[0], names) {
			if !used[i] {
				used[i] = true
				texts = append(texts, library[i].body)
			}
		}
	}
	var out []string
	for i, f := range library {
		if used[i] {
			out = append(out, f.text)
		}
	}
	return section("functions") + "\n" + strings.Join(out, "\n\n") + "\n\n"
}
