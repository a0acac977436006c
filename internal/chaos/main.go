// Command chaos proves that nothing is lost and nothing done twice: it runs the roles of the built binary as separate processes over
// a broker, sends them the traffic of carriers, kills a random one of them with `kill -9` every second or two, and compares what
// clients were told was accepted with what is stored. In a second phase processes of a binary built with the tag chaos kill
// themselves at each boundary where a crash does the most harm (package internal/crash).
//
// It exits with 0 only when everything agrees. PostgreSQL, the broker and the issuer of tokens run in this process or below it and
// are not killed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rastrohq/rastro/config"
)

type options struct {
	binary, crashBinary string
	broker              string
	kills, crashes      int
	processors          int
	rate                float64
	seed                uint64
	json                bool
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/rastro", "the rastro to kill")
	flag.StringVar(&o.crashBinary, "crash-binary", "", "a rastro built with the tag chaos, which crashes by itself; none leaves that phase out")
	flag.StringVar(&o.broker, "broker", "both", "nats, sqs or both")
	flag.IntVar(&o.kills, "kills", 50, "how many processes to kill")
	flag.IntVar(&o.crashes, "crashes", 20, "how often processes crash at each boundary, at least")
	flag.IntVar(&o.processors, "processors", 3, "how many processors run")
	flag.Float64Var(&o.rate, "rate", 500, "events a second, before what clients repeat")
	flag.Uint64Var(&o.seed, "seed", 0, "of the traffic and of who is killed when; 0 takes one from the clock")
	flag.BoolVar(&o.json, "json", false, "print the summary as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

var errFailed = errors.New("what was promised did not hold")

func run(ctx context.Context, o options) error {
	kinds := []string{o.broker}
	switch o.broker {
	case "both":
		kinds = []string{config.BrokerNATS, config.BrokerSQS}
	case config.BrokerNATS, config.BrokerSQS:
	default:
		return fmt.Errorf("-broker %q: give nats, sqs or both", o.broker)
	}
	if o.processors < 1 || o.kills < 0 || o.crashes < 0 || o.rate <= 0 {
		return errors.New("give one processor or more, a rate above 0, and no negative numbers")
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	if o.crashBinary == "" {
		o.crashes = 0
	}
	for _, binary := range []*string{&o.binary, &o.crashBinary} {
		if *binary == "" {
			continue
		}
		path, err := filepath.Abs(*binary)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return fmt.Errorf("find binary: %w", err)
		}
		*binary = path
	}
	var failed error
	reports := make([]*report, 0, len(kinds))
	for _, kind := range kinds {
		r, err := try(ctx, o, kind)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if reports = append(reports, r); !r.OK {
			failed = errFailed
		}
		if !o.json {
			r.print(os.Stdout)
		}
	}
	if o.json {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(reports); err != nil {
			return fmt.Errorf("print summary: %w", err)
		}
	}
	return failed
}
