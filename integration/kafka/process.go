package kafka

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// stopWithin is how long a process may take to stop in order before it is killed.
const stopWithin = 30 * time.Second

// A process is a Java program with its log. It ends with this process, however that ends.
type process struct {
	cmd   *exec.Cmd
	guard *exec.Cmd
	leash io.Closer     // held open by this process alone
	over  chan struct{} // closed when it has ended

	mu  sync.Mutex
	end error // how it ended; valid when over is closed
}

// guardScript kills the process named by $0 when its standard input ends without a line: the kernel closes it when this
// process dies, by SIGKILL too.
const guardScript = `read -r _ || kill -9 "$0"`

// startProcess starts program with its output appended to the file log.
func startProcess(log, program string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	p := &process{cmd: exec.Command(program, args...), over: make(chan struct{})} //nolint:noctx // its life is not that of a call
	p.cmd.Stdout, p.cmd.Stderr = out, out
	// A group of its own: an interrupt from the terminal is for the parent, which then stops it in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	if err := p.watch(); err != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		return nil, err
	}
	go p.wait()
	return p, nil
}

// watch starts the guard.
func (p *process) watch() error {
	p.guard = exec.Command("sh", "-c", guardScript, strconv.Itoa(p.cmd.Process.Pid)) //nolint:gosec,noctx // a number
	p.guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	leash, err := p.guard.StdinPipe()
	if err != nil {
		return err
	}
	p.leash = leash
	if err := p.guard.Start(); err != nil {
		return fmt.Errorf("start the guard: %w", err)
	}
	return nil
}

// wait notes the end, and lets the guard go before anything else can get the process's number.
func (p *process) wait() {
	state, err := p.cmd.Process.Wait()
	_ = p.guard.Process.Kill()
	_ = p.guard.Wait()
	_ = p.leash.Close()
	if err == nil && !state.Success() {
		err = errors.New(state.String())
	}
	p.mu.Lock()
	p.end = err
	p.mu.Unlock()
	close(p.over)
}

// ended returns how it ended, and whether it has.
func (p *process) ended() (error, bool) {
	select {
	case <-p.over:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.end, true
	default:
		return nil, false
	}
}

func (p *process) signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// kill is SIGKILL; it returns when the process is gone.
func (p *process) kill() {
	_ = p.signal(syscall.SIGKILL)
	<-p.over
}

// stop is SIGTERM; it returns when the process is gone, and says so if it had to be killed.
func (p *process) stop() error {
	_ = p.signal(syscall.SIGCONT)
	_ = p.signal(syscall.SIGTERM)
	select {
	case <-p.over:
		return nil
	case <-time.After(stopWithin):
		p.kill()
		return fmt.Errorf("it did not stop within %v and was killed", stopWithin)
	}
}
