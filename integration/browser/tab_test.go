//go:build browser

package browser

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	width, height = 1100, 760
	patience      = 20 * time.Second
	artefacts     = "../../.cache/browser"
	// axeSum is the SHA-256 of axe-core 4.14.1's axe.min.js.
	axeSum = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
)

// tab is a browser's tab in which nothing may go wrong without a word.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string
	axe string

	mu     sync.Mutex
	errors []string
}

// browsers are the names that distributions give the browser.
func browsers() []string { return []string{"chromium", "chromium-browser", "google-chrome"} }

// open starts a browser. Without one the test fails: skipped, it would look as if the pages had been looked at.
func open(t *testing.T, url string) *tab {
	t.Helper()
	binary := ""
	for _, name := range browsers() {
		if path, err := exec.LookPath(name); err == nil && binary == "" {
			binary = path
		}
	}
	if binary == "" {
		t.Fatalf("no browser found (%s): install one, on Debian with apt-get install chromium", strings.Join(browsers(), ", "))
	}
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(axe); hex.EncodeToString(sum[:]) != axeSum {
		t.Fatal("testdata/axe.min.js is not what npm has published")
	}
	if err := os.MkdirAll(artefacts, 0o755); err != nil {
		t.Fatal(err)
	}
	b := &tab{t: t, url: url, axe: string(axe)}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(binary), chromedp.NoSandbox, chromedp.WindowSize(width, height))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator, chromedp.WithListener(b.listen))
	t.Cleanup(closeTab)
	b.ctx = ctx
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil { // the first one starts the browser: no time-out
		t.Fatal(err)
	}
	return b
}

// listen keeps what the browser complains of: scripts that fail, policies that are broken, files that are missing. That an
// answer has the status that it ought to have, the test itself looks at.
func (b *tab) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, fmt.Sprint(e.ExceptionDetails.Text, " ", e.ExceptionDetails.URL))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			b.errors = append(b.errors, fmt.Sprintf("console: %s", e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		expected := e.Entry.Source == log.EntrySourceNetwork && strings.Contains(e.Entry.Text, "responded with a status of 4")
		if e.Entry.Level == log.EntryLevelError && !expected {
			b.errors = append(b.errors, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// step is something to do in the tab.
type step = chromedp.Action[chromedp.Void]

// do runs steps; what cannot be done within 20 s ends the test with a picture of where it was.
func (b *tab) do(what string, steps ...step) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.fail(what, err)
	}
}

func (b *tab) fail(what string, err error) {
	b.t.Helper()
	body, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	b.picture("failed")
	b.t.Fatalf("%s: %v\nThe page (.cache/browser/failed.png):\n%s", what, err, body)
}

func (b *tab) visit(path string) {
	b.t.Helper()
	b.do("visit "+path, chromedp.Navigate(b.url+path))
}

// until waits until a script says true, across the loading of pages.
func (b *tab) until(script string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](script))
		if ok {
			return
		}
		if time.Now().After(deadline) {
			b.fail(script, err)
		}
	}
}

// see waits until the text is on the page.
func (b *tab) see(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.body !== null && document.readyState === 'complete' && document.body.innerText.includes(%q)", text))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// enter follows the link that has the focus, in a frame that is another process: the browser tells that process where the focus is in
// its own time, and what is typed before is lost. So one does what people do, and types again if nothing happens for a second.
func (b *tab) enter(path string) {
	b.t.Helper()
	for range int(patience / time.Second) {
		b.do("press Enter", chromedp.KeyEvent(kb.Enter))
		for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if at, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("location.pathname")); err == nil && at == path {
				return
			}
		}
	}
	b.fail("Enter leads to "+path, nil)
}

func (b *tab) fill(selector, text string) {
	b.t.Helper()
	b.text(fmt.Sprintf(`document.querySelector(%q).value = ""`, selector))
	b.do("fill "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

func (b *tab) text(script string) string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](script))
	if err != nil {
		b.fail(script, err)
	}
	return s
}

// send is a step that sends a command of the browser's protocol.
func send[P, R any](c cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

func scheme(value string) step {
	return send(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}}})
}

// look is what a reader with other eyes sees: axe-core's verdict on the page, in light and dark, and a picture of each.
func (b *tab) look(name string) {
	b.t.Helper()
	b.weigh(name)
	for _, light := range []string{"light", "dark"} {
		b.do(light, scheme(light))
		report, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](b.axe+`;
			axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + n.html + "\n    " + n.failureSummary)).join("\n"))`,
			chromedp.EvalAwaitPromise))
		if err != nil {
			b.fail("axe on "+name, err)
		}
		if report != "" {
			b.t.Errorf("%s, %s: axe-core finds\n%s", name, light, report)
		}
		b.picture(name + "-" + light)
	}
	b.do("light again", scheme("light"))
}

// heaviest is the most that a page may weigh with all that it loads, in bytes before compression.
const heaviest = 100_000

// weigh says what the page that is shown weighs and when it was first painted; only the weight is the same everywhere.
func (b *tab) weigh(name string) {
	b.t.Helper()
	var page struct{ Bytes, Paint float64 }
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`new Promise(told => {
		const tell = paint => told(JSON.stringify({paint: paint, bytes:
			[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].reduce((n, e) => n + e.decodedBodySize, 0)}));
		new PerformanceObserver(list => list.getEntriesByName("first-contentful-paint").forEach(e => tell(e.startTime))).observe({type: "paint", buffered: true});
		setTimeout(() => tell(0), 3000); // nobody paints what nobody sees
	})`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fail("weigh "+name, err)
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil || page.Bytes == 0 {
		b.t.Errorf("%s: %v: %s", name, err, text)
	}
	b.t.Logf("%s weighs %.1f kB, first paint after %.0f ms", name, page.Bytes/1000, page.Paint)
	if page.Bytes > heaviest {
		b.t.Errorf("%s weighs %.0f bytes, %d are allowed", name, page.Bytes, heaviest)
	}
}

func (b *tab) picture(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Logf("no picture of %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(artefacts, name+".png"), png, 0o644); err != nil {
		b.t.Error(err)
	}
}

// quiet checks that the browser has complained of nothing.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.errors {
		b.t.Errorf("the browser complains: %s", e)
	}
}
