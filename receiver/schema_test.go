// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/ringside-otel/ringside/internal/event"
)

// randomExec returns an exec that has each optional attribute by chance.
func randomExec(random *rand.Rand) event.Event {
	e, plain := strangeExec(), plainExec()
	p, q := e.Process, plain.Process
	chance := func() bool { return random.IntN(2) == 0 }
	for _, change := range []func(){
		func() { p.VPID = 0 }, func() { p.UserName = "" }, func() { p.TTY = "" }, func() { p.CgroupPath = "" }, func() { p.Script = "" },
		func() { p.Interp = "" }, func() { p.Given = p.File.Path }, func() { p.TID = p.ID.PID }, func() { p.SessionPID = 0 },
		func() { p.File.Ino = 0 }, func() { p.File.Links = 1 }, func() { p.File.Mode = usualMode }, func() { p.File.UID = 0 },
		func() { p.Cred = q.Cred }, func() { p.Namespaces = q.Namespaces }, func() { p.Flags = 0 }, func() { p.Container = nil },
		func() { p.Creator = p.Parent }, func() { e.Digest.SHA256 = "" }, func() { e.Digest.BuildID = "" }, func() { e.Digest.GoBuild = "" },
		func() { e.Parent = nil }, func() { p.Cred.Effective = 0 }, func() { p.Cred.LoginUID = unset },
	} {
		if chance() {
			change()
		}
	}
	return e
}

func TestRecordsDoNotDependOnThoseBefore(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	c := newConverter(testHost(), "1.0.0", []string{"LANG"})
	for range 3 * maxLayouts {
		batch := []event.Event{randomExec(random)}
		want := everyText(newConverter(testHost(), "1.0.0", []string{"LANG"}).convert(batch))
		require.Equal(t, want, everyText(c.convert(batch)))
		require.LessOrEqual(t, len(c.exec.known), maxLayouts)
	}
}

func TestNoAttributeIsThereTwice(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	c := newConverter(testHost(), "1.0.0", []string{"LANG", "PATH"})
	check := func(logs plog.Logs) {
		for lr := range records(logs) {
			seen := map[string]bool{}
			for name := range lr.Attributes().All() {
				assert.False(t, seen[name], "%s of %s", name, lr.EventName())
				seen[name] = true
			}
		}
	}
	check(c.convert(everything()))
	for range 100 {
		check(c.convert([]event.Event{randomExec(random)}))
	}
}
