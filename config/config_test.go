// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

// load reads a configuration as the collector does: over the defaults, strictly, and then validated.
func load(yaml string) (*Config, error) {
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(yaml))
	if err != nil {
		return nil, err
	}
	conf, err := retrieved.AsConf()
	if err != nil {
		return nil, err
	}
	cfg := Default()
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, xconfmap.Validate(cfg)
}

func TestConfigIsWhatTheCollectorExpects(t *testing.T) {
	require.NoError(t, componenttest.CheckConfigStruct(Default()))
}

func TestDefaultsAreValid(t *testing.T) {
	for _, yaml := range []string{"{}", "process: {}", "process:", "process: {digest: {}}"} {
		cfg, err := load(yaml)
		require.NoError(t, err, yaml)
		assert.Equal(t, Default(), cfg, yaml)
	}
}

func TestEverySettingIsRead(t *testing.T) {
	cfg, err := load(`
process:
  fork: true
  ring_size: 262144
  queue_size: 7
  max_args_size: 131072
  environment: [LANG, LD_PRELOAD]
  max_environment_size: 1000
  exit_grace: 1m
  digest: {enabled: false, wait: 2s, max_file_size: 5, cache_size: 6}
retry_on_failure: {enabled: false, initial_interval: 3s}
`)
	require.NoError(t, err)
	want := Default()
	want.Process = Process{
		Fork: true, RingSize: 262144, QueueSize: 7, MaxArgsSize: 131072, Environment: []string{"LANG", "LD_PRELOAD"},
		MaxEnvironmentSize: 1000, ExitGrace: time.Minute, Digest: Digest{Wait: 2 * time.Second, MaxFileSize: 5, CacheSize: 6},
	}
	want.Retry.Enabled, want.Retry.InitialInterval = false, 3*time.Second
	assert.Equal(t, want, cfg)
}

func TestWhatIsRefused(t *testing.T) {
	manyNames := make([]string, maxVariables+1)
	for i := range manyNames {
		manyNames[i] = fmt.Sprintf("V%d", i)
	}
	for _, tc := range []struct {
		yaml string
		want []string // parts of the message
	}{
		{"process: {ring_size: 0}", []string{"process::ring_size: 0 is not between 65536 and 1073741824"}},
		{"process: {ring_size: 32768}", []string{"process::ring_size: 32768 is not between 65536 and 1073741824"}},
		{"process: {ring_size: 2147483648}", []string{"process::ring_size: 2147483648 is not between"}},
		{"process: {ring_size: -65536}", []string{"process::ring_size: -65536 is not between"}},
		{"process: {ring_size: 100000}", []string{"process::ring_size: 100000 is not a power of two", "65536 or 131072"}},
		{"process: {ring_size: 65536, max_args_size: 131072}", []string{"process::ring_size: 65536 bytes cannot hold one exec", "use at least 262144", "max_args_size"}},
		{"process: {queue_size: 0}", []string{"process::queue_size: 0 is not between 1 and 1048576"}},
		{"process: {max_args_size: -1}", []string{"process::max_args_size: -1 is not between 0 and 131072"}},
		{"process: {max_args_size: 131073}", []string{"process::max_args_size: 131073 is not between 0 and 131072"}},
		{"process: {max_environment_size: 131073}", []string{"process::max_environment_size: 131073 is not between"}},
		{"process: {max_environment_size: 0, environment: [A, B]}", []string{"process::max_environment_size", "none of the 2 names"}},
		{"process: {exit_grace: -1s}", []string{"process::exit_grace: -1s is not between 0s and 10m0s"}},
		{"process: {exit_grace: 11m}", []string{"process::exit_grace: 11m0s is not between"}},
		{"process: {exit_grace: 30}", []string{"process::exit_grace: 30ns is less than 1ms", "write the unit"}},
		{"process: {digest: {wait: 11s}}", []string{"process::digest::wait: 11s is not between 0s and 10s"}},
		{"process: {digest: {max_file_size: 0}}", []string{"process::digest::max_file_size: 0 is not between 1 and 68719476736"}},
		{"process: {digest: {cache_size: 0}}", []string{"process::digest::cache_size: 0 is not between 1 and 1048576"}},
		{`process: {environment: [""]}`, []string{`process::environment: name 1, "", is empty`}},
		{`process: {environment: [A, "B=1"]}`, []string{`process::environment: name 2, "B=1", holds '='`}},
		{`process: {environment: ["A\0"]}`, []string{`name 1, "A\x00", holds a NUL`}},
		{`process: {environment: [A, B, A]}`, []string{`name 3, "A", is there twice`}},
		{"process: {environment: [" + strings.Join(manyNames, ", ") + "]}", []string{"65 names are more than the 64"}},
		{"retry_on_failure: {multiplier: -1}", []string{"retry_on_failure", "multiplier"}},
		{"processes: {}", []string{"invalid keys: processes"}},
		{"process: {ring: 65536}", []string{"invalid keys: ring"}},
		{"process: {digest: {sha1: true}}", []string{"invalid keys: sha1"}},
		{"process: {ring_size: big}", []string{"ring_size"}},
		{"process: {ring_size: 1, queue_size: 0, environment: ['=']}", []string{"process::ring_size", "process::queue_size", "process::environment"}},
	} {
		t.Run(tc.yaml, func(t *testing.T) {
			_, err := load(tc.yaml)
			for _, want := range tc.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

func TestNamesOfVariablesMustBeUTF8(t *testing.T) {
	cfg := Default()
	cfg.Process.Environment = []string{"A\xff"} // YAML cannot hold it
	require.ErrorContains(t, cfg.Validate(), `name 1, "A\xff", is not valid UTF-8`)
}

func TestLimitsAreInclusive(t *testing.T) {
	for _, l := range Limits() {
		for value, ok := range map[int64]bool{l.Min - 1: false, l.Min: true, l.Max: true, l.Max + 1: false} {
			at := l
			at.value = func(*Config) int64 { return value }
			assert.Equal(t, ok, at.check(Default()) == nil, "%s: %d", l.Key, value)
		}
		require.NoError(t, l.check(Default()))
		assert.NotEmpty(t, l.Hint)
	}
}

func FuzzConfig(f *testing.F) {
	for _, yaml := range []string{
		"{}", "process:", "process: {ring_size: 65536, environment: [A]}", "process: {digest: {wait: 1s}}",
		"retry_on_failure: {enabled: false}", "process: {ring_size: 1e9}", "process: {environment: {A: B}}", "[]", "- process", "process: []",
		"process: {ring_size: 0x10000}", "process: {exit_grace: 99999999h}", `process: {environment: ["\0"]}`, "&a [*a]",
	} {
		f.Add(yaml)
	}
	f.Fuzz(func(t *testing.T, yaml string) {
		cfg, err := load(yaml)
		if err != nil {
			return
		}
		require.NoError(t, cfg.Validate(), "a configuration that was taken must be valid")
		for _, l := range Limits() {
			require.NoError(t, l.check(cfg))
		}
		require.Zero(t, cfg.Process.RingSize&(cfg.Process.RingSize-1))
	})
}
