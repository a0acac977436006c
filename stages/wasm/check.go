package wasm

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// signature is what a function of a module takes and gives.
type signature struct{ takes, gives []api.ValueType }

var (
	i32, i64 = api.ValueTypeI32, api.ValueTypeI64
	handing  = signature{[]api.ValueType{i32, i32}, []api.ValueType{i64}}
	exports  = []struct {
		name string
		signature
		optional bool
	}{
		{"rastro_abi", signature{nil, []api.ValueType{i32}}, false},
		{"alloc", signature{[]api.ValueType{i32}, []api.ValueType{i32}}, false},
		{"free", signature{[]api.ValueType{i32, i32}, nil}, true},
		{"configure", handing, true},
		{"process", handing, false},
	}
)

func (s signature) String() string {
	names := func(types []api.ValueType) string {
		list := make([]string, len(types))
		for i, t := range types {
			list[i] = api.ValueTypeName(t)
		}
		return strings.Join(list, ", ")
	}
	text := "(" + names(s.takes) + ")"
	if len(s.gives) > 0 {
		text += " -> " + names(s.gives)
	}
	return text
}

// recognise tells what is no core module by its first bytes: the magic number and the version.
func recognise(source []byte) error {
	switch {
	case bytes.HasPrefix(source, []byte("\x00asm\x01\x00\x00\x00")):
		return nil
	case bytes.HasPrefix(source, []byte("\x00asm\x0d\x00\x01\x00")):
		return errors.New("it is a component; build a core module for WASI preview 1 instead")
	case bytes.HasPrefix(bytes.TrimSpace(source), []byte("(module")):
		return errors.New("it is the text of a module; assemble it first, for example with wat2wasm")
	default:
		return errors.New("it is no WebAssembly module")
	}
}

// checkModule finds what a module lacks and what it needs that is not there, all of it at once.
func checkModule(module wazero.CompiledModule, configured bool) error {
	var errs []error
	has := module.ExportedFunctions()
	if _, ok := has["_start"]; ok && has["_initialize"] == nil {
		errs = append(errs, errors.New("it is built as a command; build a library (Go: -buildmode=c-shared; clang, Rust: a reactor)"))
	}
	if module.ExportedMemories()["memory"] == nil {
		errs = append(errs, errors.New(`it does not export its memory as "memory"`))
	}
	for _, want := range exports {
		f, ok := has[want.name]
		switch {
		case !ok && !want.optional:
			errs = append(errs, fmt.Errorf("it does not export %s%s", want.name, want.signature))
		case !ok:
		case !slices.Equal(f.ParamTypes(), want.takes) || !slices.Equal(f.ResultTypes(), want.gives):
			errs = append(errs, fmt.Errorf("it exports %s%s, which must be %s", want.name, signature{f.ParamTypes(), f.ResultTypes()}, want.signature))
		}
	}
	if configured && has["configure"] == nil {
		errs = append(errs, errors.New("it takes no config, for it does not export configure"+handing.String()))
	}
	foreign := map[string]bool{}
	for _, f := range module.ImportedFunctions() {
		if from, name, _ := f.Import(); from != wasi_snapshot_preview1.ModuleName {
			foreign[from+"."+name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(foreign)) {
		errs = append(errs, fmt.Errorf("it imports %s; there is only WASI (%s)", name, wasi_snapshot_preview1.ModuleName))
	}
	return joined(errs)
}

// joined makes one error, on one line, of several.
func joined(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}
