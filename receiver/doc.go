// SPDX-License-Identifier: Apache-2.0

// Package receiver is the ringside receiver of the OpenTelemetry Collector: the only package that knows pdata and
// the collector's API.
//
// A tracer hands it events in order; it turns each batch into log records and passes them to the next consumer. What
// it emits is declared in metadata.yaml. A batch that the next consumer refuses for now is kept and offered again,
// and nothing overtakes it; Consume returns an error only when the batch is lost for good, and the tracer counts it.
package receiver

// mdatagen also makes builders for records and resources, whose methods take every attribute by position. The records
// are written directly instead (see attributes.go), so the builders would be dead code. declared_test.go holds that records
// and declaration agree. Its documentation tells of a setting that switches events off, which this receiver has not.

//go:generate go tool -modfile=../internal/tools/go.mod mdatagen metadata.yaml
//go:generate sh -c "cd internal/metadata && rm -rf testdata generated_config*.go generated_logs*.go generated_resource*.go"
//go:generate sed -i -e "s/^## Default Events/## Events/" -e "/^The following events are emitted by default/,/^  *enabled: false/d" documentation.md
//go:generate sed -i -e "/^## Events/,/^###/{/^```$/d}" documentation.md
