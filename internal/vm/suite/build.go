// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Package is a package and its test binary.
type Package struct {
	ImportPath string
	Dir        string
	Binary     string // empty when there are no tests, or Err is set
	Err        error  // why it could not be built
}

// HasTests tells whether there is something to run.
func (p Package) HasTests() bool { return p.Binary != "" }

// Build builds the test binaries of packages, as "go test" names them, into a folder. Binaries are static. A package that
// cannot be built is returned with its error; what the compiler says goes to log.
func Build(ctx context.Context, patterns []string, tags, dir string, log io.Writer) ([]Package, error) {
	listed, err := list(ctx, patterns, tags, log)
	if err != nil {
		return nil, err
	}
	b := builder{tags: tags, dir: dir, log: log, taken: map[string]bool{}}
	var together []int
	packages := make([]Package, len(listed))
	for i, l := range listed {
		packages[i] = Package{ImportPath: l.ImportPath, Dir: l.Dir}
		switch {
		case l.Error != nil:
			packages[i].Err = errors.New(l.Error.Err)
		case len(l.TestGoFiles)+len(l.XTestGoFiles) == 0:
		case b.claim(l.ImportPath):
			together = append(together, i)
		default:
			packages[i].Binary = filepath.Join(dir, fmt.Sprintf("%d-%s.test", i, path.Base(l.ImportPath)))
			b.build(ctx, packages[i].Binary, l.ImportPath)
			packages[i].check()
		}
	}
	if len(together) == 0 {
		return packages, nil
	}
	// One command builds them all, which is much quicker than one each.
	var names []string
	for _, i := range together {
		names = append(names, packages[i].ImportPath)
	}
	b.build(ctx, dir+string(filepath.Separator), names...)
	for _, i := range together {
		packages[i].Binary = filepath.Join(dir, path.Base(packages[i].ImportPath)+".test")
		packages[i].check()
	}
	return packages, ctx.Err()
}

// check forgets a binary that is not there: the status of go tells only that some package could not be built.
func (p *Package) check() {
	if _, err := os.Stat(p.Binary); err != nil {
		p.Binary, p.Err = "", errBuild
	}
}

// errBuild is what is known of a package that could not be built; the compiler has said more.
var errBuild = errors.New("build failed")

type listed struct {
	ImportPath, Dir           string
	TestGoFiles, XTestGoFiles []string
	Error                     *struct{ Err string }
}

func list(ctx context.Context, patterns []string, tags string, log io.Writer) ([]listed, error) {
	args := append([]string{
		"list", "-e", "-tags", tags, "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles,Error", "--",
	}, patterns...)
	cmd := goCommand(ctx, args...)
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, log
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	var packages []listed
	for decoder := json.NewDecoder(&stdout); ; {
		var l listed
		err := decoder.Decode(&l)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		packages = append(packages, l)
	}
	if len(packages) == 0 {
		return nil, fmt.Errorf("list packages: %s matches none", strings.Join(patterns, " "))
	}
	return packages, nil
}

type builder struct {
	tags, dir string
	log       io.Writer
	taken     map[string]bool
}

// majorVersion is a last part of an import path that go does not name the binary after.
var majorVersion = regexp.MustCompile(`^v\d+$`)

// claim tells whether the name that go gives to the binary is known and still free.
func (b builder) claim(importPath string) bool {
	name := path.Base(importPath)
	if majorVersion.MatchString(name) || b.taken[name] {
		return false
	}
	b.taken[name] = true
	return true
}

// build builds what can be built. What cannot is missing afterwards.
func (b builder) build(ctx context.Context, out string, packages ...string) {
	args := append([]string{"test", "-c", "-tags", b.tags, "-o", out}, packages...)
	cmd := goCommand(ctx, args...)
	cmd.Stdout, cmd.Stderr = b.log, b.log
	if err := cmd.Run(); err != nil {
		fmt.Fprintf(b.log, "go test -c: %v\n", err)
	}
}

func goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}
