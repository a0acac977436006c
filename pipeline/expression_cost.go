package pipeline

import (
	"fmt"
	"math"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

const (
	// maxGrowth is how large a text may be, in bytes, that a function makes of others.
	maxGrowth = 1 << 20
	// maxPairs is how many pairs of items, or of characters, a function may compare.
	maxPairs = 10_000_000
)

func plan(env *cel.Env, checked *cel.Ast) (cel.Program, error) {
	guard, err := newGuard(env)
	if err != nil {
		return nil, err
	}
	options := []cel.ProgramOption{
		cel.EvalOptions(cel.OptOptimize), cel.CustomDecoratorV2(comparePayloads), cel.CustomDecoratorV2(guard.decorate),
	}
	// Counting the cost of each evaluation takes time, and needs none where the worst case is known to be small.
	if estimate, err := env.EstimateCost(checked, unknownSizes{}); err != nil || estimate.Max > maxCost {
		options = append(options, cel.CostTracking(unresolved{}), cel.CostLimit(maxCost))
	}
	program, err := env.Program(checked, options...)
	if err != nil {
		return nil, fmt.Errorf("plan expression: %w", err)
	}
	return program, nil
}

// unknownSizes estimates that what comes with an event may be of any size.
type unknownSizes struct{}

func (unknownSizes) EstimateSize(checker.AstNode) *checker.SizeEstimate {
	return &checker.SizeEstimate{Min: 0, Max: math.MaxUint64}
}

func (unknownSizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// unresolved counts the cost of calls of which only the event decides what they do, as of + between two values of a payload:
// CEL takes those for the cheapest there are.
type unresolved struct{}

// CallCost implements interpreter.ActualCostEstimator.
func (unresolved) CallCost(function, overload string, args []ref.Val, result ref.Val) *uint64 {
	if overload != "" {
		return nil
	}
	cost := uint64(1) + traversal(result)
	if function == distinct {
		cost += sizeOf(args[0]) * sizeOf(args[0])
	}
	for _, arg := range args {
		cost += traversal(arg)
	}
	return &cost
}

// traversal is the cost of going over a value once.
func traversal(value ref.Val) uint64 {
	switch v := value.(type) {
	case types.String:
		return uint64(math.Ceil(float64(len(v)) * common.StringTraversalCostFactor))
	case types.Bytes:
		return uint64(math.Ceil(float64(len(v)) * common.StringTraversalCostFactor))
	case traits.Lister:
		return sizeOf(v)
	default:
		return 0
	}
}

func sizeOf(value ref.Val) uint64 {
	if s, ok := value.(traits.Sizer); ok {
		if n, ok := s.Size().(types.Int); ok && n > 0 {
			return uint64(n)
		}
	}
	return 0
}

// guard stops calls whose cost, which CEL counts only when they have returned, would be beyond measure.
type guard struct {
	bindings map[string]*functions.Overload // of guarded functions, by overload and by function
}

func newGuard(env *cel.Env) (*guard, error) {
	g := &guard{bindings: map[string]*functions.Overload{}}
	for name := range guarded {
		declared, ok := env.Functions()[name]
		if !ok {
			return nil, fmt.Errorf("prepare expressions: there is no function %s to guard", name)
		}
		bindings, err := declared.Bindings()
		if err != nil {
			return nil, fmt.Errorf("prepare expressions: %w", err)
		}
		for _, b := range bindings {
			g.bindings[b.Operator] = b
		}
	}
	return g, nil
}

// distinct is a function whose cost CEL cannot count when it is called on what is no list: it panics.
const distinct = "distinct"

// guarded tells by function why a call is not to be made; nil when it may.
var guarded = map[string]func(args []ref.Val) ref.Val{
	"replace":         replaceGrows,
	"join":            joinGrows,
	"format":          lacksArgument,
	"indexOf":         comparesPairs,
	"lastIndexOf":     comparesPairs,
	"sets.contains":   comparesPairs,
	"sets.equivalent": comparesPairs,
	"sets.intersects": comparesPairs,
	distinct:          func(args []ref.Val) ref.Val { return comparesPairs([]ref.Val{args[0], args[0]}) },
}

func replaceGrows(args []ref.Val) ref.Val {
	text, isText := args[0].(types.String)
	from, fromText := args[1].(types.String)
	to, toText := args[2].(types.String)
	if !isText || !fromText || !toText || len(to) <= len(from) {
		return nil
	}
	// A limit on the replacements, the fourth argument, only makes it less.
	if len(text)+strings.Count(string(text), string(from))*(len(to)-len(from)) > maxGrowth {
		return types.NewErr("the text grows beyond %d bytes", maxGrowth)
	}
	return nil
}

func joinGrows(args []ref.Val) ref.Val {
	list, ok := args[0].(traits.Lister)
	if !ok {
		return nil
	}
	size, separator := uint64(0), uint64(0)
	if len(args) == 2 {
		separator = lengthOf(args[1])
	}
	for it := list.Iterator(); it.HasNext() == types.True; {
		if size += lengthOf(it.Next()) + separator; size > maxGrowth {
			return types.NewErr("the text grows beyond %d bytes", maxGrowth)
		}
	}
	return nil
}

func lengthOf(value ref.Val) uint64 {
	text, _ := value.(types.String)
	return uint64(len(text))
}

func comparesPairs(args []ref.Val) ref.Val {
	if pairs := sizeOf(args[0]) * sizeOf(args[1]); pairs > maxPairs {
		return types.NewErr("the values are too large to be compared: %d pairs, %d at most", pairs, maxPairs)
	}
	return nil
}

// lacksArgument has a text that is made of what the payload lacks lack too.
func lacksArgument(args []ref.Val) ref.Val {
	list, ok := args[1].(traits.Lister)
	if !ok {
		return nil
	}
	for it := list.Iterator(); it.HasNext() == types.True; {
		if isMissing(it.Next()) {
			return types.NewErr("no such key")
		}
	}
	return nil
}

func (g *guard) decorate(step interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	call, ok := step.(interpreter.InterpretableCall)
	if !ok {
		return step, nil
	}
	refuse, ok := guarded[call.Function()]
	if !ok {
		return step, nil
	}
	name := call.OverloadID()
	if name == "" {
		name = call.Function()
	}
	binding, ok := g.bindings[name]
	if !ok {
		return nil, fmt.Errorf("function %s has no implementation", name)
	}
	return &guardedCall{call, refuse, binding}, nil
}

// guardedCall is a call that is made only if it is not refused.
type guardedCall struct {
	interpreter.InterpretableCall
	refuse  func(args []ref.Val) ref.Val
	binding *functions.Overload
}

// OverloadID implements interpreter.InterpretableCall: without one, the cost is counted by unresolved.
func (c *guardedCall) OverloadID() string {
	if c.Function() == distinct {
		return ""
	}
	return c.InterpretableCall.OverloadID()
}

// Exec implements interpreter.InterpretableV2.
func (c *guardedCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := make([]ref.Val, len(c.Args()))
	for i, arg := range c.Args() {
		if args[i] = arg.Exec(frame); types.IsUnknownOrError(args[i]) {
			return args[i]
		}
	}
	if err := c.refuse(args); err != nil {
		return err
	}
	switch {
	case c.binding.Unary != nil && len(args) == 1:
		return c.binding.Unary(args[0])
	case c.binding.Binary != nil && len(args) == 2:
		return c.binding.Binary(args[0], args[1])
	case c.binding.Function != nil:
		return c.binding.Function(args...)
	default:
		return types.MaybeNoSuchOverloadErr(args[0])
	}
}

// Eval implements interpreter.Interpretable.
func (c *guardedCall) Eval(vars interpreter.Activation) ref.Val {
	return c.Exec(interpreter.AsFrame(vars))
}
