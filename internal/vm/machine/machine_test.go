// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringside-otel/ringside/internal/vm/console"
	"github.com/ringside-otel/ringside/internal/vm/kernels"
	"github.com/ringside-otel/ringside/internal/vm/wire"
)

func TestBrokenTellsWhyAKernelIsDistrusted(t *testing.T) {
	tests := map[string]struct {
		result Result
		want   string
	}{
		"healthy":                  {Result{}, ""},
		"exit status alone":        {Result{Exit: wire.Exit{Code: 1}}, ""},
		"foreign module loaded":    {Result{Exit: wire.Exit{Taint: 1 << 12}}, ""},
		"report":                   {Result{Splats: []console.Splat{{Headline: "BUG: x"}}}, "BUG: x"},
		"warning without a report": {Result{Exit: wire.Exit{Taint: 1 << 9}}, "kernel is tainted by: warning"},
		"report explains taint":    {Result{Exit: wire.Exit{Taint: 1 << 9}, Splats: []console.Splat{{Headline: "WARNING: x"}}}, "WARNING: x"},
		"oops":                     {Result{Exit: wire.Exit{Taint: 1<<7 | 1<<12}}, "kernel is tainted by: oops"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.result.Broken(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCountedMachinesAreDeterministic(t *testing.T) {
	m := Machine{Kernel: kernels.Kernel{Image: "/k"}, CPUs: 4, Count: true, Append: "quiet"}
	args := strings.Join(m.args(512), " ")
	for _, want := range []string{
		"-accel tcg,thread=single", "-icount shift=0,sleep=off", "-smp 1 ", "-m 512M", "-seed ", "-rtc ", "nokaslr", "norandmaps", " quiet",
	} {
		if !strings.Contains(args, want) {
			t.Errorf("%q is not in %s", want, args)
		}
	}
	m.Count = false
	if args := m.args(512); slices.Contains(args, "-icount") || !slices.Contains(args, "4") {
		t.Errorf("an ordinary machine counts, or has not its CPUs: %q", args)
	}
}

// image is an initial file system that cannot be written.
type image struct{ err error }

func (i image) WriteTo(io.Writer) (int64, error) { return 0, i.err }
func (i image) Size() int64                      { return 0 }

func TestRunTellsWhatStoppedItBeforeTheMachineWas(t *testing.T) {
	m := Machine{QEMU: "/not/there"}
	if _, err := m.Run(t.Context(), image{}, nil, 0, nil); err == nil || !strings.Contains(err.Error(), "start QEMU") {
		t.Errorf("without an emulator: %v", err)
	}
	if _, err := m.Run(t.Context(), image{io.ErrNoProgress}, nil, 0, nil); err == nil || !strings.Contains(err.Error(), io.ErrNoProgress.Error()) {
		t.Errorf("without an image: %v", err)
	}
}

func TestRefusalOfTheEmulatorIsShown(t *testing.T) {
	// false stands for an emulator that ends at once.
	m := Machine{QEMU: "/bin/false", CPUs: 1}
	outcome, err := m.Run(t.Context(), image{}, nil, time.Minute, nil)
	if err == nil || !strings.Contains(err.Error(), "died during boot: exit status 1") {
		t.Errorf("got %v", err)
	}
	if outcome.Started != 0 || outcome.Ended != 0 {
		t.Errorf("tasks ran: %+v", outcome)
	}
}
