// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ringside-otel/ringside/config"
)

func TestSchemaIsUpToDate(t *testing.T) {
	var got bytes.Buffer
	require.NoError(t, write(&got, "../config.go"))
	want, err := os.ReadFile("../schema.json")
	require.NoError(t, err)
	assert.Equal(t, string(want), got.String(), "make generate writes it")
}

func TestSchemaDescribesEverySetting(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, write(&out, "../config.go"))
	var root schema
	require.NoError(t, json.Unmarshal(out.Bytes(), &root))

	var walk func(s *schema, path string)
	walk = func(s *schema, path string) {
		if !strings.HasPrefix(path, "/retry_on_failure/") { // a type of the collector
			assert.NotEmpty(t, s.Description, path)
		}
		if s.Type == "object" {
			require.NotNil(t, s.Additional, path)
			assert.False(t, *s.Additional, path)
		}
		for name, property := range s.Properties {
			walk(property, path+"/"+name)
		}
	}
	walk(&root, "")

	for _, l := range config.Limits() {
		s := &root
		for _, part := range strings.Split(l.Key, "::") {
			s = s.Properties[part]
			require.NotNil(t, s, "%s does not name a setting", l.Key)
		}
		if s.Type == "integer" {
			assert.Equal(t, l.Min, *s.Minimum, l.Key)
			assert.Equal(t, l.Max, *s.Maximum, l.Key)
		}
	}
}
