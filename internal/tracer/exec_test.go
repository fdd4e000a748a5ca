// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"os"
	"os/exec"
	"testing"
)

// program returns a command that runs one of programs.
func program(name string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

func TestExecAndExitAreRecorded(t *testing.T) {
	r := record(t)
	cmd := program("true", "one", "two")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	exec, exit := r.waitExec(pid), r.waitExit(pid)
	if got := exec.Process.Args; len(got) != 3 || got[1] != "one" || got[2] != "two" {
		t.Errorf("args %q", got)
	}
	if exec.Process.File.Path != cmd.Path {
		t.Errorf("path %q, want %q", exec.Process.File.Path, cmd.Path)
	}
	if exec.Parent == nil || int(exec.Parent.ID.PID) != os.Getpid() {
		t.Errorf("parent %+v", exec.Parent)
	}
	if exit.Process != exec.Process || exit.Exit.Code != 0 || exit.Exit.Signal != 0 {
		t.Errorf("exit %+v of %+v", exit.Exit, exit.Process)
	}
	r.stopWhole()
}
