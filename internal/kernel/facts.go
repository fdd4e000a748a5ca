// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"
)

// Where the kernel tells about itself, below the root of the file system.
const (
	btfFolder     = "sys/kernel/btf/"
	kernelBTF     = "vmlinux"
	kallsymsFile  = "proc/kallsyms"
	releaseFile   = "proc/sys/kernel/osrelease"
	debugfs       = "sys/kernel/debug/"
	blacklistFile = debugfs + "kprobes/blacklist"
	injectionFile = debugfs + "error_injection/list"
	filterFile    = "available_filter_functions"
	lsmFile       = "sys/kernel/security/lsm"
)

// tracefs is mounted at one of these, the first where it is modern.
var tracefs = [...]string{"sys/kernel/tracing/", debugfs + "tracing/"}

// Facts answers what a compiler of policies asks about one kernel: its types, functions, tracepoints, system calls, symbols
// and features.
//
// Each fact is established when it is first asked for and does not change until Forget. What was established is held: 4 MB for
// types (9 MB before Linux 6.15, where their file cannot be mapped) and 1.5 MB for symbols; nothing before the first question. There is
// no state outside a Facts: one that is dropped is collected as a whole. But a Type keeps all types that it leads to, which are the
// most of it: what outlives the compiler must not hold one.
//
// All methods may be called concurrently. Errors are a *NotFound when a name does not exist in this kernel, an *Unsupported
// when the kernel cannot do something, a *PathError for a path through fields, and otherwise what reading met.
//
// Nothing needs privileges but the features and the files of tracefs and debugfs: where those cannot be read, their facts are
// unknown, and no function is refused for their sake.
type Facts struct {
	root    fs.FS
	running bool
	has     map[Feature]bool // of a fixture

	mu       sync.Mutex
	types    *types
	symbols  *symbols
	features map[Feature]error
}

// Running returns the facts of the running kernel. Nothing is read before it is asked for.
func Running() *Facts {
	return &Facts{root: os.DirFS("/"), running: true}
}

// Fixture returns the facts of a kernel whose files are below root, at the paths they have on a running system
// ("sys/kernel/btf/vmlinux", "proc/kallsyms"), and which has these features and no others. Files that are not there are
// facts that are not known.
func Fixture(root fs.FS, features ...Feature) *Facts {
	has := make(map[Feature]bool, len(features))
	for _, f := range features {
		has[f] = true
	}
	return &Facts{root: root, has: has}
}

// Forget drops the types and symbols that were read, to free their memory or because modules came and went; they are
// read again when they are asked for again. Features are kept: they do not change before the next boot.
func (f *Facts) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.types, f.symbols = nil, nil
}

// Release is the version of the kernel as uname -r shows it, empty when it is not known.
func (f *Facts) Release() string {
	b, err := fs.ReadFile(f.root, releaseFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// types are the kernel's types and those of modules. They are decoded as they are needed, by the library.
type types struct {
	kernel  *btf.Spec
	modules map[string]*btf.Spec
	cache   *btf.Cache // of the running kernel
}

// Cache holds the types of the running kernel, for ebpf.CollectionOptions: loading programs with it does not
// read the types a second time. For a fixture it is empty.
func (f *Facts) Cache() *btf.Cache {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.types == nil {
		f.types = &types{}
	}
	if f.types.cache == nil {
		f.types.cache = btf.NewCache()
	}
	return f.types.cache
}

// spec returns the types of the kernel (module "") or those that a module adds.
func (f *Facts) spec(module string) (*btf.Spec, error) {
	cache := f.Cache()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.types == nil { // forgotten in between
		f.types = &types{cache: cache}
	}
	t := f.types
	if t.kernel == nil {
		spec, err := f.loadKernel(cache)
		if err != nil {
			return nil, fmt.Errorf("read the kernel's types: %w", err)
		}
		t.kernel = spec
	}
	if module == "" {
		return t.kernel, nil
	}
	if spec := t.modules[module]; spec != nil {
		return spec, nil
	}
	spec, err := f.loadModule(cache, module, t.kernel)
	if err != nil {
		return nil, fmt.Errorf("read the types of module %s: %w", module, err)
	}
	if t.modules == nil {
		t.modules = make(map[string]*btf.Spec)
	}
	t.modules[module] = spec
	return spec, nil
}

func (f *Facts) loadKernel(cache *btf.Cache) (*btf.Spec, error) {
	if f.running {
		return cache.Kernel()
	}
	return f.loadFile(kernelBTF, nil)
}

func (f *Facts) loadModule(cache *btf.Cache, module string, base *btf.Spec) (*btf.Spec, error) {
	if strings.ContainsAny(module, "/.") {
		return nil, &NotFound{What: "module", Name: module}
	}
	if f.running {
		return cache.Module(module)
	}
	return f.loadFile(module, base)
}

func (f *Facts) loadFile(name string, base *btf.Spec) (*btf.Spec, error) {
	b, err := fs.ReadFile(f.root, btfFolder+name)
	if err != nil {
		return nil, err
	}
	return btf.LoadSplitSpecFromReader(strings.NewReader(string(b)), base)
}
