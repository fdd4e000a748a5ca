// SPDX-License-Identifier: Apache-2.0

// Package config is what a user sets: the receiver's configuration, its defaults, and what Validate refuses.
//
// The folder also holds the files that users start from: collector.yaml, the examples and the systemd unit.
package config

//go:generate sh -c "go run ./schemagen > schema.json"

import (
	"time"

	"go.opentelemetry.io/collector/config/configretry"
)

// Config is the configuration of the ringside receiver.
type Config struct {
	// Process tells how exec and exit, which are always on, are recorded.
	Process Process `mapstructure:"process"`
	// Retry tells how a batch that the next consumer refused for now is offered again.
	Retry configretry.BackOffConfig `mapstructure:"retry_on_failure"`
}

// Process tells what is recorded of processes, and with which means.
type Process struct {
	// Fork gives an event for each fork too; forks are always followed for lineage.
	Fork bool `mapstructure:"fork"`
	// RingSize is the size of the ring buffer of exec and exit, in bytes: a power of two, at least a page.
	RingSize int `mapstructure:"ring_size"`
	// QueueSize is how many events wait in user space for the next consumer before reading pauses.
	QueueSize int `mapstructure:"queue_size"`
	// MaxArgsSize is how many bytes of argv are recorded.
	MaxArgsSize int `mapstructure:"max_args_size"`
	// Environment names the environment variables to record.
	Environment []string `mapstructure:"environment"`
	// MaxEnvironmentSize is how many bytes of the environment are searched for them.
	MaxEnvironmentSize int `mapstructure:"max_environment_size"`
	// ExitGrace is how long a process that ended is still known. Records come in order, so that a parent is known while it has
	// children; what the grace covers is CPUs that overtake each other. Each process that ends is kept for that long.
	ExitGrace time.Duration `mapstructure:"exit_grace"`
	// Digest tells how executables are hashed.
	Digest Digest `mapstructure:"digest"`
}

// Digest tells how the SHA-256 and the build id of executed files are had.
type Digest struct {
	// Enabled switches it on.
	Enabled bool `mapstructure:"enabled"`
	// Wait is how long an exec event waits for its digest.
	Wait time.Duration `mapstructure:"wait"`
	// MaxFileSize is the size in bytes above which a file is not hashed.
	MaxFileSize int64 `mapstructure:"max_file_size"`
	// CacheSize is how many digests are kept.
	CacheSize int `mapstructure:"cache_size"`
}

// Default returns the configuration that an empty section stands for.
func Default() *Config {
	// The ring absorbs some seconds, so a consumer that refused must be asked again much sooner than an exporter's server.
	retry := configretry.NewDefaultBackOffConfig()
	retry.InitialInterval = 100 * time.Millisecond
	retry.MaxInterval = 5 * time.Second
	return &Config{
		Process: Process{
			RingSize:           8 << 20,
			QueueSize:          4096,
			MaxArgsSize:        32 << 10,
			MaxEnvironmentSize: 32 << 10,
			ExitGrace:          time.Second,
			Digest: Digest{
				Enabled:     true,
				Wait:        100 * time.Millisecond,
				MaxFileSize: 256 << 20,
				CacheSize:   4096,
			},
		},
		Retry: retry,
	}
}
