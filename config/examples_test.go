// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requiredVariable matches a variable that a file reads with no default.
var requiredVariable = regexp.MustCompile(`\$\{env:([A-Z0-9_]+)\}`)

// collector returns the collector to ask, and skips when none was built. RINGSIDE_BIN names one that has to be there.
func collector(t *testing.T) string {
	t.Helper()
	if bin := os.Getenv("RINGSIDE_BIN"); bin != "" {
		require.FileExists(t, bin, "RINGSIDE_BIN")
		return bin
	}
	bin, err := filepath.Abs("../bin/ringside")
	require.NoError(t, err)
	if _, err := os.Stat(bin); err != nil {
		t.Skip("bin/ringside is not built (make build) and RINGSIDE_BIN is not set")
	}
	return bin
}

// validate asks the collector about a file, with the variables that the file requires set to something.
func validate(t *testing.T, bin, file string) (string, error) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	cmd := exec.Command(bin, "validate", "--config", file)
	cmd.Env = append(os.Environ(), "K8S_NODE_NAME=node")
	for _, match := range requiredVariable.FindAllSubmatch(text, -1) {
		cmd.Env = append(cmd.Env, string(match[1])+"=something")
	}
	output, err := cmd.CombinedOutput()
	return string(output), err
}

func TestTheCollectorAcceptsEachFileThatUsersStartFrom(t *testing.T) {
	bin := collector(t)
	files, err := filepath.Glob("examples/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range append(files, "collector.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			output, err := validate(t, bin, file)
			require.NoError(t, err, output)
			require.NotContains(t, output, "deprecated")
		})
	}
}

func TestTheCollectorRefusesASettingThatDoesNotExist(t *testing.T) {
	bin := collector(t)
	text, err := os.ReadFile("collector.yaml")
	require.NoError(t, err)
	broken := strings.Replace(string(text), "process: {}", "process: {no_such_setting: 1}", 1)
	require.NotEqual(t, string(text), broken)
	file := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(file, []byte(broken), 0o600))

	output, err := validate(t, bin, file)
	require.Error(t, err)
	require.Contains(t, output, "no_such_setting")
}
