// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"maps"
	"testing"
	"unsafe"

	"go.uber.org/zap/zaptest"

	"github.com/ringside-otel/ringside/bpf"
	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/decode"
	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/load"
	"github.com/ringside-otel/ringside/internal/process"
)

func TestSequenceFindsWhatIsMissingOnEachCPU(t *testing.T) {
	var s sequence
	for _, step := range []struct {
		cpu     int
		seq     uint64
		missing uint64
	}{
		{cpu: 1, seq: 0}, {cpu: 1, seq: 1}, {cpu: 0, seq: 0},
		{cpu: 1, seq: 4, missing: 2},
		{cpu: 0, seq: 1, missing: 2},
		{cpu: 7, seq: 3, missing: 5}, // the first of a CPU
		{cpu: 7, seq: 4, missing: 5},
	} {
		s.see(step.cpu, step.seq)
		if s.missing != step.missing {
			t.Fatalf("%d missing after %d on CPU %d, want %d", s.missing, step.seq, step.cpu, step.missing)
		}
	}
}

func TestGapThatNoCounterExplainsIsALossOfItsOwn(t *testing.T) {
	unaccounted := LostKey{Stage: event.StageUnaccounted}
	a := newAccount()
	a.setKernel(load.Account{Records: 10, LostRecords: 3, Lost: map[load.Loss]uint64{{Stage: event.StageRingFull, Kind: event.Exec}: 3}})
	for _, step := range []struct{ missing, gaps uint64 }{{2, 0}, {3, 0}, {5, 2}, {5, 2}, {6, 3}} {
		a.gaps(step.missing)
		var s Stats
		a.fill(&s)
		if s.SequenceGaps != step.gaps || s.Lost[unaccounted] != step.gaps || s.Lost[LostKey{event.StageRingFull, event.Exec}] != 3 {
			t.Errorf("%d missing: %d gaps, lost %v, want %d gaps", step.missing, s.SequenceGaps, s.Lost, step.gaps)
		}
	}
	if n := a.exitsLost(); n != 3 {
		t.Errorf("%d exits may have been lost, want the 3 of no known kind", n)
	}
}

func TestLossIsToldOnceUnlessTheReportIsRefused(t *testing.T) {
	key := LostKey{event.StageRefused, event.Exec}
	want := func(a *account, n uint64) {
		t.Helper()
		got := a.unreported()
		if n == 0 && len(got) == 0 || len(got) == 1 && got[key] == n {
			return
		}
		t.Errorf("to be told: %v, want %d", got, n)
	}
	report := []event.Event{{Kind: event.Loss, Lost: &event.LossReport{Stage: key.Stage, Event: key.Kind, Count: 2}}}
	a := newAccount()
	want(a, 0)
	a.refuse(event.StageRefused, []event.Event{{Kind: event.Exec}, {Kind: event.Exec}})
	want(a, 2)
	want(a, 0)
	a.refuse(event.StageRefused, append(report, event.Event{Kind: event.Exec}))
	want(a, 3)
	want(a, 0)
	a.deliver(report)
	var s Stats
	a.fill(&s)
	if !maps.Equal(s.Lost, map[LostKey]uint64{key: 3}) || len(s.Delivered) != 0 || !s.Losing {
		t.Errorf("a report counts as an event: %+v", s)
	}
}

func TestExitsThatTheTableHadAreNotLostToIt(t *testing.T) {
	a := newAccount()
	a.refuse(event.StageRefused, []event.Event{{Kind: event.Exit}})
	a.refuse(event.StageShutdown, []event.Event{{Kind: event.Exit}})
	a.setKernel(load.Account{Records: 1, Lost: map[load.Loss]uint64{
		{Stage: event.StageRingFull, Kind: event.Exit}: 2, {Stage: event.StageRingFull, Kind: event.Exec}: 5,
	}})
	a.lose(event.StageDecode, event.Exit, 1)
	if n := a.exitsLost(); n != 3 {
		t.Errorf("%d exits lost to the table, want 3", n)
	}
}

func TestEarlierLookAtTheKernelDoesNotReplaceALaterOne(t *testing.T) {
	a := newAccount()
	a.setKernel(load.Account{Records: 5, Produced: map[event.Kind]uint64{event.Exec: 5}})
	a.setKernel(load.Account{Records: 4, Produced: map[event.Kind]uint64{event.Exec: 4}})
	var s Stats
	if a.fill(&s); s.Produced[event.Exec] != 5 {
		t.Errorf("produced %v", s.Produced)
	}
}

// raw returns the bytes of a record.
func raw[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

// loneReader is a reader with no kernel part.
func loneReader(t *testing.T) *reader {
	tr := New(config.Default().Process, nil, zaptest.NewLogger(t))
	tr.decoder, tr.cgroups, tr.clock = decode.New(), newCgroups(), &clock{offsets: make([]offset, 1)}
	tr.table = process.NewTable(0, func(*event.Process) {})
	tr.queue = make(chan item, 10)
	return &reader{Tracer: tr}
}

func exitRecord(seq uint64) *bpf.ProcessExitRecord {
	r := &bpf.ProcessExitRecord{}
	r.Header.Kind, r.Header.Seq, r.Header.Size = uint8(bpf.ProcessKindKIND_EXIT), seq, uint32(unsafe.Sizeof(*r))
	r.Id.Pid, r.Id.Start = 9, 1
	return r
}

func TestExitThatTheKernelToldTwiceIsOneEvent(t *testing.T) {
	r := loneReader(t)
	r.handle(raw(exitRecord(0)))
	r.handle(raw(exitRecord(1)))
	r.account.setKernel(load.Account{Records: 2, Produced: map[event.Kind]uint64{event.Exit: 2}})
	var s Stats
	r.account.fill(&s)
	if len(r.queue) != 1 || s.Produced[event.Exit] != 1 || len(s.Lost) > 0 {
		t.Errorf("%d events, %+v", len(r.queue), s)
	}
}

func TestMalformedRecordIsCountedOnce(t *testing.T) {
	short := exitRecord(1)
	short.Header.Size = uint32(unsafe.Sizeof(short.Header))
	for name, test := range map[string]struct {
		record  []byte
		lost    LostKey
		missing uint64
	}{
		"with a header":  {raw(short), LostKey{event.StageDecode, event.Exit}, 0},
		"with no header": {[]byte{1, 2, 3}, LostKey{Stage: event.StageUnaccounted}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := loneReader(t)
			r.handle(raw(exitRecord(0)))
			r.handle(test.record)
			after := exitRecord(2)
			after.Id.Pid++
			r.handle(raw(after))
			r.account.gaps(r.sequence.missing)
			var s Stats
			r.account.fill(&s)
			if len(r.queue) != 2 || s.DecodeErrors != 1 || s.SequenceGaps != test.missing || !maps.Equal(s.Lost, map[LostKey]uint64{test.lost: 1}) {
				t.Errorf("%d events, %+v, want 2 and the loss of one as %v", len(r.queue), s, test.lost)
			}
		})
	}
}
