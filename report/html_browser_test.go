package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browsers are the commands that a browser which chromedp can drive goes by. Ubuntu's chromium-browser is none of them:
// it is a script that asks to install a snap.
var browsers = []string{"chromium", "google-chrome", "google-chrome-stable", "headless-shell"}

// browser starts a browser that ends with the test. Without one the test is skipped, unless CTSIM_REQUIRE_BROWSER is set.
func browser(t *testing.T) context.Context {
	t.Helper()
	found := ""
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "--version").Run() == nil {
			found = path
			break
		}
	}
	if found == "" {
		if os.Getenv("CTSIM_REQUIRE_BROWSER") != "" {
			t.Fatalf("none of %s is installed", strings.Join(browsers, ", "))
		}
		t.Skipf("no browser to open the page in (%s); hint: apt-get install chromium", strings.Join(browsers, ", "))
	}
	home := t.TempDir()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(found), chromedp.NoSandbox, chromedp.UserDataDir(home),
		chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home), chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-gpu", true),
		// Whatever the browser itself would like to fetch.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"), chromedp.Flag("disable-component-update", true))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, _ := chromedp.NewContext(allocator)
	// Cancel waits for the browser to end; its folder is deleted after that.
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("%s: %v", found, err)
	}
	return ctx
}

// tab opens a page in a tab of its own and holds that it logs nothing, asks for nothing and loads nothing.
func tab(t *testing.T, browser context.Context, html string) context.Context {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(html), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(browser)
	t.Cleanup(cancel)
	ctx, cancelTimeout := context.WithTimeout(ctx, 2*time.Minute) // no test hangs; no verdict rests on it
	t.Cleanup(cancelTimeout)
	address := "file://" + file
	var mu sync.Mutex
	var complaints []string
	complain := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		complaints = append(complaints, s)
	}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			complain("console: " + string(e.Type))
		case *runtime.EventExceptionThrown:
			complain("exception: " + e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			complain("log: " + e.Entry.Text)
		case *cdppage.EventJavascriptDialogOpening:
			complain("dialog: " + e.Message)
		case *network.EventRequestWillBeSent:
			if e.Request.URL != address {
				complain("request: " + e.Request.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	call(t, ctx, network.Enable, network.EnableParams{})
	call(t, ctx, log.Enable, cdp.Empty{})
	do(t, ctx, chromedp.Navigate(address), chromedp.WaitReady(chromedp.CSS("footer")))
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range complaints {
			t.Error(c)
		}
	})
	return ctx
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// ask evaluates an expression in the page.
func ask[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	out, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return out
}

// click brings an element into the middle of the window, where nothing covers it, and clicks on it.
func click(t *testing.T, ctx context.Context, selector string) {
	t.Helper()
	ask[bool](t, ctx, fmt.Sprintf(`(document.querySelector(%q).scrollIntoView({block: 'center', behavior: 'instant'}), true)`, selector))
	do(t, ctx, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// call gives a command of the protocol to the page.
func call[P, R any](t *testing.T, ctx context.Context, command cdp.Command[P, R], params P) R {
	t.Helper()
	out, err := chromedp.Call(ctx, command, params)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestBrowser opens the page as a person would.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	b := browser(t)
	article := tab(t, b, rendered(t, told()))
	for _, test := range []struct {
		name string
		run  func(*testing.T, context.Context)
	}{
		{"screen reader", screenReader}, {"tab order", tabOrder}, {"click", clickOpens}, {"keyboard", keyboard}, {"filter", filters},
		{"without script", withoutScript}, // the last: it stays without
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, article) })
	}
	t.Run("hostile", func(t *testing.T) {
		r := told()
		everyString(reflect.ValueOf(r).Elem(), strings.Join(hostile, " "))
		ctx := tab(t, b, rendered(t, r))
		const unwanted = `document.querySelectorAll('img, iframe, [onclick], [onload], [onerror], [onmouseover]').length`
		if n := ask[int](t, ctx, unwanted); n != 0 {
			t.Errorf("%d pictures and handlers of the texts' own", n)
		}
	})
	for name, r := range recorded(t) {
		if os.Getenv("CTSIM_SCREENSHOTS") == "" && name != "flush-multi-backend" && name != "loose-off" {
			continue // pictures are of all; to hold how a page is laid out, a long and a short one will do
		}
		t.Run(name, func(t *testing.T) { looks(t, tab(t, b, rendered(t, r)), name) })
	}
}

const firstPacket = `document.querySelector('.row.packet > details > summary')`

func isOpen(t *testing.T, ctx context.Context) bool {
	t.Helper()
	return ask[bool](t, ctx, firstPacket+`.parentElement.open`)
}

func clickOpens(t *testing.T, ctx context.Context) {
	click(t, ctx, ".row.packet > details > summary")
	if !isOpen(t, ctx) {
		t.Fatal("a click does not open an event")
	}
	detail := ask[string](t, ctx, firstPacket+`.parentElement.querySelector('.detail').innerText`)
	for _, want := range []string{"172.18.219.65:59468", "10.108.33.37:2222", "172.18.166.131:2222", "flags", "+0.010000"} {
		if !strings.Contains(detail, want) {
			t.Errorf("%q is not in the detail:\n%s", want, detail)
		}
	}
	click(t, ctx, ".row.packet .copy")
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`document.getElementById('said').textContent !== ''`)); err != nil {
		t.Error("the copy button does not answer:", err)
	}
}

func keyboard(t *testing.T, ctx context.Context) {
	ask[bool](t, ctx, `document.querySelectorAll('.row > details').forEach(d => d.open = false) || true`)
	do(t, ctx, chromedp.Focus(chromedp.CSS(".row > details > summary")))
	focused := `[].indexOf.call(document.querySelectorAll('.row > details > summary'), document.activeElement)`
	visible := `[].filter.call(document.querySelectorAll('.row > details > summary'), s => s.getClientRects().length).indexOf(document.activeElement)`
	press := func(key string, want int) {
		t.Helper()
		do(t, ctx, chromedp.KeyEvent(key))
		if got := ask[int](t, ctx, visible); got != want {
			t.Errorf("the focus is on line %d, want %d", got, want)
		}
	}
	press(kb.ArrowDown, 1)
	press(kb.ArrowDown, 2)
	press(kb.ArrowUp, 1)
	press(kb.End, ask[int](t, ctx, `[].filter.call(document.querySelectorAll('.row > details > summary'), s => s.getClientRects().length).length - 1`))
	press(kb.ArrowDown, ask[int](t, ctx, visible)) // there is no further
	press(kb.Home, 0)
	open := `document.activeElement.parentElement.open`
	do(t, ctx, chromedp.KeyEvent(kb.Enter))
	if !ask[bool](t, ctx, open) {
		t.Error("Enter does not open")
	}
	do(t, ctx, chromedp.KeyEvent(kb.Escape))
	if ask[bool](t, ctx, open) || ask[int](t, ctx, focused) != 0 {
		t.Error("Escape does not close, or loses the place")
	}
}

// tabOrder goes through the page with Tab: everything that can be focused shows it, and nothing is a trap.
func tabOrder(t *testing.T, ctx context.Context) {
	seen := map[string]bool{}
	for range 200 {
		do(t, ctx, chromedp.KeyEvent(kb.Tab))
		at := ask[[]string](t, ctx, `(e => [e.tagName, e.innerText || e.id || '', getComputedStyle(e).outlineStyle, e.className])(document.activeElement)`)
		if at[0] == "BODY" {
			break
		}
		if at[2] == "none" {
			t.Errorf("the focus cannot be seen on %v", at)
		}
		if len(seen) == 0 && at[3] != "skip" {
			t.Errorf("the first stop is %v, want the link to the report", at)
		}
		seen[at[0]] = true
	}
	for _, want := range []string{"A", "SUMMARY", "INPUT", "BUTTON"} {
		if !seen[want] {
			t.Errorf("no %s can be reached", want)
		}
	}
	if ask[string](t, ctx, `document.activeElement.tagName`) != "BODY" {
		t.Error("the end is never reached")
	}
}

func filters(t *testing.T, ctx context.Context) {
	shown := func(class string) int {
		return ask[int](t, ctx, `[].filter.call(document.querySelectorAll('.row.`+class+`'), r => r.getClientRects().length).length`)
	}
	for _, class := range []string{"packet", "conntrack", "application", "rule", "kernel", "socket"} {
		if shown(class) == 0 {
			t.Errorf("nothing of %s is shown", class)
		}
		turn(t, ctx, "f-"+class)
		if n := shown(class); n != 0 {
			t.Errorf("%d lines of %s are shown, want none", n, class)
		}
		turn(t, ctx, "f-"+class)
	}
	if shown("minor") != 0 {
		t.Error("what is nothing new is shown without being asked for")
	}
	turn(t, ctx, "f-minor")
	if shown("minor") == 0 {
		t.Error("what is nothing new cannot be shown")
	}
}

// turn clicks on a checkbox until it has changed: a click on a page that was scrolled just before can meet what stood at that
// place until then.
func turn(t *testing.T, ctx context.Context, id string) {
	t.Helper()
	checked := fmt.Sprintf(`document.getElementById(%q).checked`, id)
	before := ask[bool](t, ctx, checked)
	for give := time.Now().Add(5 * time.Second); time.Now().Before(give); {
		click(t, ctx, "#"+id)
		for look := time.Now().Add(200 * time.Millisecond); time.Now().Before(look); time.Sleep(5 * time.Millisecond) {
			if ask[bool](t, ctx, checked) != before {
				return
			}
		}
	}
	t.Fatalf("no click reaches the box %s", id)
}

// screenReader reads the page as a screen reader does: by landmarks, headings, names.
func screenReader(t *testing.T, ctx context.Context) {
	nodes := call(t, ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes
	roles := map[string]int{}
	for _, n := range nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role, name := unquote(n.Role), unquote(n.Name)
		roles[role]++
		switch role {
		case "button", "checkbox", "image", "img", "link", "navigation", "heading", "columnheader", "rowheader", "DisclosureTriangle":
			if name == "" && role != "columnheader" {
				t.Errorf("a %s without a name", role)
			}
		}
	}
	for _, want := range []string{"banner", "navigation", "main", "contentinfo", "heading", "list", "table", "rowheader", "checkbox", "group"} {
		if roles[want] == 0 {
			t.Errorf("there is no %s; there are %v", want, roles)
		}
	}
	if n := ask[int](t, ctx, `document.querySelectorAll('h1').length`); n != 1 {
		t.Errorf("%d h1", n)
	}
	levels := ask[[]int](t, ctx, `[].map.call(document.querySelectorAll('h1,h2,h3,h4'), h => +h.tagName[1])`)
	for i := 1; i < len(levels); i++ {
		if levels[i] > levels[i-1]+1 {
			t.Errorf("heading levels jump: %v", levels)
		}
	}
	if twice := ask[[]string](t, ctx, `(ids => ids.filter((id, i) => ids.indexOf(id) !== i))([].map.call(document.querySelectorAll('[id]'), e => e.id))`); len(twice) > 0 {
		t.Errorf("ids that are there twice: %v", twice)
	}
	if lost := ask[[]string](t, ctx, `[].map.call(document.querySelectorAll('a[href^="#"], use'), a => a.getAttribute('href').slice(1)).filter(id => !document.getElementById(id))`); len(lost) > 0 {
		t.Errorf("links that lead nowhere: %v", lost)
	}
}

func unquote(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}

func withoutScript(t *testing.T, ctx context.Context) {
	call(t, ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	do(t, ctx, chromedp.Reload(), chromedp.WaitReady(chromedp.CSS("footer")))
	click(t, ctx, ".row.packet > details > summary")
	if !isOpen(t, ctx) {
		t.Error("without JavaScript an event cannot be opened")
	}
	if ask[bool](t, ctx, `document.documentElement.classList.contains('js')`) {
		t.Error("the script ran")
	}
}

// looks opens a recorded run in light and dark, wide and narrow, and prints it. With CTSIM_SCREENSHOTS set to a folder it
// leaves pictures there for people to look at.
func looks(t *testing.T, ctx context.Context, name string) {
	backgrounds := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 390} {
			call(t, ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
			call(t, ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
				Width: width, Height: 900, DeviceScaleFactor: 1, Mobile: width < 600})
			if over := ask[int64](t, ctx, `document.documentElement.scrollWidth`); over > width {
				t.Errorf("%s at %d: the page is %d wide; too wide are %v", scheme, width, over, ask[[]string](t, ctx, fmt.Sprintf(
					`[].filter.call(document.querySelectorAll('body *'), e => e.getBoundingClientRect().right > %d && !e.closest('.scroll, .toc')).map(e => e.tagName + '.' + e.className).slice(0, 5)`, width)))
			}
			backgrounds[scheme] = ask[string](t, ctx, `getComputedStyle(document.body).backgroundColor`)
			if folder := os.Getenv("CTSIM_SCREENSHOTS"); folder != "" {
				picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				save(t, filepath.Join(folder, name+"-"+scheme+map[bool]string{true: "-narrow"}[width < 600]+".png"), picture)
			}
		}
	}
	if backgrounds["light"] == backgrounds["dark"] {
		t.Errorf("dark and light have the same background %s", backgrounds["dark"])
	}
	call(t, ctx, emulation.ClearDeviceMetricsOverride, cdp.Empty{})
	pdf, err := chromedp.Run(ctx, chromedp.PrintToPDF())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(pdf), "%PDF-") {
		t.Errorf("no PDF: %.20q", pdf)
	}
	if folder := os.Getenv("CTSIM_SCREENSHOTS"); folder != "" {
		save(t, filepath.Join(folder, name+".pdf"), pdf)
	}
}

func save(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
