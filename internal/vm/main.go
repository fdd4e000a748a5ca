// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/ringside-otel/ringside/internal/vm/guest"
)

const usage = `usage:
  vm fetch [-kernel 6.1,6.12]                        put kernels and the emulator in place
  vm run   [flags] BINARY [ARGS...]                  run a program on a kernel; for go test -exec
  vm suite [flags] PACKAGES...                       run the tests of packages on several kernels
  vm bench [flags] -- BINARY [ARGS...]               the same as run, one nanosecond being one instruction
"vm COMMAND -h" tells the flags; go doc ./internal/vm tells the rest.
`

// The exit statuses of the runner itself. Those of programs are passed on.
const (
	statusFailed = 1   // a test failed, the kernel complained, or the machine hung
	statusUsage  = 2   // wrong arguments
	statusBroken = 125 // the runner could not do its work
)

// statusError carries an exit status; when it has no cause all has been said.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

func main() {
	if os.Getpid() == 1 && os.Args[0] == "/init" {
		guest.Main()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	err := dispatch(ctx, os.Args[1:])
	stop()
	os.Exit(exitStatus(err))
}

func dispatch(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, []string) error{
		"fetch": fetchCommand, "run": runCommand, "suite": suiteCommand, "bench": benchCommand,
	}
	if len(args) > 0 {
		if command, ok := commands[args[0]]; ok {
			return command(ctx, args[1:])
		}
	}
	fmt.Fprint(os.Stderr, usage)
	return usageError(errors.New("want fetch, run, suite or bench"))
}

func usageError(err error) error { return &statusError{status: statusUsage, err: err} }

// exitStatus tells what is wrong, if that is still to be told, and returns the status.
func exitStatus(err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var status *statusError
	if !errors.As(err, &status) {
		status = &statusError{status: statusBroken, err: err}
	}
	if status.err != nil {
		fmt.Fprintf(os.Stderr, "vm: %v\n", err)
	}
	return status.status
}
