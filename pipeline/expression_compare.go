package pipeline

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

// comparison is ==, != or `in` for values of a payload: what it lacks is null, at whatever depth it lacks it.
type comparison struct {
	interpreter.InterpretableCall
	compare func(left, right ref.Val) ref.Val
}

// comparePayloads replaces CEL's comparisons.
func comparePayloads(step interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := step.(interpreter.InterpretableCall)
	if !ok || len(call.Args()) != 2 {
		return step, nil
	}
	switch call.Function() {
	case operators.Equals:
		return &comparison{call, equal}, nil
	case operators.NotEquals:
		return &comparison{call, func(left, right ref.Val) ref.Val {
			same := equal(left, right)
			if is, ok := same.(types.Bool); ok {
				return !is
			}
			return same
		}}, nil
	case operators.In:
		if _, constant := call.Args()[1].(interpreter.InterpretableConst); !constant {
			return &comparison{call, in}, nil
		}
	}
	return step, nil
}

func equal(left, right ref.Val) ref.Val { return types.Equal(plain(left), plain(right)) }

func in(item, container ref.Val) ref.Val {
	switch c := container.(type) {
	case traits.Lister:
		item = plain(item)
		for it := c.Iterator(); it.HasNext() == types.True; {
			if types.Equal(item, plain(it.Next())) == types.True {
				return types.True
			}
		}
		return types.False
	case traits.Container:
		return c.Contains(item)
	default:
		return types.MaybeNoSuchOverloadErr(container)
	}
}

// Exec implements interpreter.InterpretableV2.
func (c *comparison) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := c.Args()
	left := args[0].Exec(frame)
	if types.IsUnknownOrError(left) {
		return left
	}
	right := args[1].Exec(frame)
	if types.IsUnknownOrError(right) {
		return right
	}
	return c.compare(left, right)
}

// Eval implements interpreter.Interpretable.
func (c *comparison) Eval(vars interpreter.Activation) ref.Val {
	return c.Exec(interpreter.AsFrame(vars))
}
