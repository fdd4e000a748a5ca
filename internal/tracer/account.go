// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"maps"
	"sync"
	"time"

	"github.com/ringside-otel/ringside/internal/event"
	"github.com/ringside-otel/ringside/internal/load"
)

// LostKey says which events were lost, and where.
type LostKey struct {
	Stage event.Stage
	Kind  event.Kind
}

// Stats is the account of a tracer since its start: Produced = Delivered + the sum of Lost + what is under way.
type Stats struct {
	// Produced is what the kernel generated, lost ones included.
	Produced map[event.Kind]uint64
	// Delivered is what the sink took. Forks that are no events for the user count when the process table has them.
	Delivered    map[event.Kind]uint64
	Lost         map[LostKey]uint64
	RingBytes    uint64 // waiting in the ring
	RingSize     uint64
	QueueLength  int // events waiting for the sink
	QueueSize    int
	Processes    int // entries of the process table
	DecodeErrors uint64
	SequenceGaps uint64 // records missing in the sequence with no kernel counter that explains them
	Programs     []load.Program
	Losing       bool // events were lost in the last ten seconds
}

// losingTime is how long after a loss the tracer is said to be losing.
const losingTime = 10 * time.Second

// account is what the goroutines of a tracer count, and the last that was read from the kernel.
type account struct {
	mu           sync.Mutex
	delivered    map[event.Kind]uint64
	lost         map[LostKey]uint64 // in user space
	repeated     map[event.Kind]uint64
	kernel       load.Account
	unaccounted  uint64
	decodeErrors uint64
	processes    int
	lastLoss     time.Time
	reported     map[LostKey]uint64 // what unreported returned so far
	untold       map[LostKey]uint64 // what was reported, but refused
}

func newAccount() *account {
	return &account{
		delivered: make(map[event.Kind]uint64),
		lost:      make(map[LostKey]uint64),
		repeated:  make(map[event.Kind]uint64),
		untold:    make(map[LostKey]uint64),
	}
}

func (a *account) lose(stage event.Stage, kind event.Kind, n uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost[LostKey{stage, kind}] += n
	a.lastLoss = time.Now()
}

func (a *account) deliver(batch []event.Event) {
	var counts [event.Loss + 1]uint64
	for i := range batch {
		counts[batch[i].Kind]++
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, kind := range event.Kinds {
		if counts[kind] > 0 {
			a.delivered[kind] += counts[kind]
		}
	}
}

// refuse counts a batch that goes nowhere. A report of a loss among it is not a loss of its own, but has to be made again.
func (a *account) refuse(stage event.Stage, batch []event.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range batch {
		if r := batch[i].Lost; r != nil {
			a.untold[LostKey{r.Stage, r.Event}] += r.Count
			continue
		}
		a.lost[LostKey{stage, batch[i].Kind}]++
		a.lastLoss = time.Now()
	}
}

// unreported returns what was lost since the last call, and what was reported in vain.
func (a *account) unreported() map[LostKey]uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.allLostLocked()
	news := a.untold
	for k, n := range all {
		if d := n - a.reported[k]; d > 0 {
			news[k] += d
		}
	}
	a.reported, a.untold = all, make(map[LostKey]uint64)
	return news
}

// followed counts forks that only the process table was waiting for.
func (a *account) followed(forks uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.delivered[event.Fork] += forks
}

// repeat counts an event that the kernel part told before: it is none.
func (a *account) repeat(kind event.Kind) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.repeated[kind]++
}

// exitsLost returns how many exits were lost on their way to the process table, which leaves processes in it.
func (a *account) exitsLost() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	var n uint64
	for k, lost := range a.allLostLocked() {
		switch {
		case k.Kind != event.Exit && k.Kind != 0:
		case k.Stage == event.StageRefused, k.Stage == event.StageShutdown: // the table had them
		default:
			n += lost
		}
	}
	return n
}

func (a *account) decodeError() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.decodeErrors++
}

func (a *account) setProcesses(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.processes = n
}

// setKernel keeps what the kernel counted. More losses than before make the tracer a losing one.
func (a *account) setKernel(k load.Account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k.Records < a.kernel.Records {
		return // two goroutines read at the same time, and the other was later
	}
	if k.LostRecords > a.kernel.LostRecords {
		a.lastLoss = time.Now()
	}
	a.kernel = k
}

// gaps compares the records that are missing in the sequence with those that the kernel counted as lost.
func (a *account) gaps(missing uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if missing <= a.kernel.LostRecords+a.unaccounted {
		return
	}
	n := missing - a.kernel.LostRecords - a.unaccounted
	a.unaccounted += n
	a.lost[LostKey{Stage: event.StageUnaccounted}] += n
	a.lastLoss = time.Now()
}

func (a *account) allLostLocked() map[LostKey]uint64 {
	lost := maps.Clone(a.lost)
	for k, n := range a.kernel.Lost {
		lost[LostKey(k)] += n
	}
	return lost
}

// fill fills in what the account knows.
func (a *account) fill(s *Stats) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Produced = maps.Clone(a.kernel.Produced)
	for kind, n := range a.repeated {
		s.Produced[kind] -= n
	}
	s.Delivered = maps.Clone(a.delivered)
	s.Lost = a.allLostLocked()
	s.Processes = a.processes
	s.DecodeErrors = a.decodeErrors
	s.SequenceGaps = a.unaccounted
	s.Losing = !a.lastLoss.IsZero() && time.Since(a.lastLoss) < losingTime
}
