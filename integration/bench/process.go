package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// process is this program again, in another role. It ends when its input does.
type process struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *bufio.Reader
}

// start runs this executable with the given arguments.
func start(ctx context.Context, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return startCommand(exec.CommandContext(ctx, self, args...))
}

// startCommand runs a command whose output is read line by line.
func startCommand(cmd *exec.Cmd) (*process, error) {
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = time.Second
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Args[0], err)
	}
	return &process{cmd: cmd, input: input, output: bufio.NewReader(output)}, nil
}

// line waits for the next line of output.
func (p *process) line() (string, error) {
	s, err := p.output.ReadString('\n')
	return strings.TrimSpace(s), err
}

// stop ends the input and waits for the process to go; one that does not is killed.
func (p *process) stop() {
	_ = p.input.Close()
	timer := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.cmd.Wait()
}

// kill ends the process at once, and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// cpu is the processor time that the process has used, all threads, in steps of 10 ms: what the kernel tells of any
// process, so that programs of every kind are measured alike.
func (p *process) cpu() time.Duration { return cpuOf(p.cmd.Process.Pid) }

func cpuOf(pid int) time.Duration {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	rest := string(b[bytes.LastIndexByte(b, ')')+1:]) // the name before may hold spaces
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime, proc(5)
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on every Linux that Go runs on
}

// memory is the resident size of a process, now and at its peak, in MiB. It is 0 where /proc is not mounted.
func (p *process) memory() (resident, peak float64) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		name, rest, _ := strings.Cut(line, ":")
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			resident = kib / 1024
		case "VmHWM":
			peak = kib / 1024
		}
	}
	return resident, peak
}
