// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/ringside-otel/ringside/config"
	"github.com/ringside-otel/ringside/internal/tracer"
	"github.com/ringside-otel/ringside/receiver/internal/metadata"
)

// NewFactory returns the factory of the ringside receiver.
func NewFactory() receiver.Factory {
	return newFactory(func(cfg config.Process, sink tracer.Sink, log *zap.Logger) eventSource {
		return tracer.New(cfg, sink, log)
	})
}

// eventSource is what the receiver needs of a tracer; see tracer.Tracer for what its methods promise.
type eventSource interface {
	Start(ctx context.Context) error
	Shutdown(ctx context.Context) error
	Stats() (tracer.Stats, error)
}

// newSource makes an event source that is not started. Tests have one that needs no kernel.
type newSource func(cfg config.Process, sink tracer.Sink, log *zap.Logger) eventSource

func newFactory(source newSource) receiver.Factory {
	return receiver.NewFactory(metadata.Type,
		func() component.Config { return config.Default() },
		receiver.WithLogs(
			func(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
				return &logsReceiver{set: set, cfg: cfg.(*config.Config), next: next, newSource: source, statusEvery: statusEvery}, nil
			},
			metadata.LogsStability))
}
