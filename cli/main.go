// Package cli is the command line: the commands, and the graph that wires each role. Another module builds a binary with
// stages of its own by calling Main with WithStages.
package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/stages"
)

// version is set when the binary is built for release: -ldflags "-X github.com/rastrohq/rastro/cli.version=v1.2.3".
var version = ""

// buildVersion returns the version of the binary: as released, else the revision it was built from.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return "devel-" + setting.Value[:min(12, len(setting.Value))]
		}
	}
	return "devel"
}

// Option changes what Main runs.
type Option func(*options)

type options struct {
	stages []func(*pipeline.Registry) error
}

// WithStages adds stages to the built-in ones.
func WithStages(register func(*pipeline.Registry) error) Option {
	return func(o *options) { o.stages = append(o.stages, register) }
}

// registry returns the stages that pipelines may use.
func (o options) registry() (*pipeline.Registry, error) {
	registry := pipeline.NewRegistry()
	for _, register := range append([]func(*pipeline.Registry) error{stages.Register}, o.stages...) {
		if err := register(registry); err != nil {
			return nil, fmt.Errorf("register stages: %w", err)
		}
	}
	return registry, nil
}

// Main runs the command that the process's arguments name and returns the exit code. SIGINT and SIGTERM end it gently; a
// second one ends it at once.
func Main(opts ...Option) int {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from here on the next signal has its usual effect

	root := newRootCommand(o, processStreams())
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		_, _ = fmt.Fprintln(os.Stderr, "rastro:", err)
	}
	return exitCode(err)
}

func newRootCommand(o options, streams streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "rastro",
		Short: "Track & trace engine",
		Long: `Rastro is a track & trace engine. Carriers stream events in, a pipeline of stages makes them trustworthy, and whoever
waits for a bag, a cargo or a parcel asks where it is.

Start with ` + "`rastro dev`" + `, then in another terminal:

  echo '{"correlation_id":"BAG-1","aggregate_id":"BAG-1","event_type":"loaded","timestamp":"2026-01-02T15:04:05Z"}' | rastro send
  rastro trace BAG-1`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       buildVersion(),
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exitWith(exitUsage, fmt.Errorf("%w\nSee '%s --help'", err, cmd.CommandPath()))
	})
	root.AddCommand(
		newDevCommand(o), newServeCommand(o), newMigrateCommand(), newReplayCommand(), newVersionCommand(), newPipelineCommand(o, streams),
		newTokenCommand(streams), newSendCommand(streams), newTraceCommand(streams), newDLQCommand(streams),
		newBalanceCommand(streams), newDuplicatesCommand(streams), newAuditCommand(streams), newCredentialCommand(streams),
		newForgetCommand(streams), newPersonalCommand(streams), newTenantCommand(), newRetainCommand(streams), newHealthcheckCommand(streams),
		newCarrierCommand(streams), newWatchCommand(streams), newAlertsCommand(streams),
	)
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "rastro", buildVersion())
			return err
		},
	}
}
