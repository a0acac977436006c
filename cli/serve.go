package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/dig"
	"go.uber.org/fx"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/telemetry"
)

func newServeCommand(o options) *cobra.Command {
	var help strings.Builder
	if err := config.WriteHelp(&help); err != nil {
		help.WriteString(err.Error())
	}
	return &cobra.Command{
		Use:   "serve ROLE...",
		Short: "Run one or more roles: ingest, query, processor, dashboard",
		Long: `Run one or more roles in this process, configured by environment variables. Processes of the same role share the work.

  ingest     takes events in
  query      answers where things are
  processor  runs the pipelines
  dashboard  serves the web dashboard and signs people in

Run ` + "`rastro migrate`" + ` once before, and after each upgrade.

Environment variables:
` + help.String() + `
  OTEL_EXPORTER_OTLP_ENDPOINT and the other standard OTEL_* variables say where traces go; nowhere when unset`,
		Example:   `  RASTRO_DATABASE_URL=postgres://... RASTRO_OIDC_ISSUER=https://... rastro serve ingest query`,
		ValidArgs: allRoles(),
		Args: usage(func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("say which roles to run: %s\nSee '%s --help'", strings.Join(allRoles(), ", "), cmd.CommandPath())
			}
			return cobra.OnlyValidArgs(cmd, args)
		}),
		RunE: func(cmd *cobra.Command, roles []string) error {
			process, err := config.FromEnvironment(os.Environ())
			if err != nil {
				return exitWith(exitUsage, err)
			}
			logger, err := telemetry.NewLogger(cmd.ErrOrStderr(), process.Log.Level, process.Log.Format)
			if err != nil {
				return err
			}
			slices.Sort(roles)
			s := surroundings{
				process: process, roles: slices.Compact(roles), logger: logger, exportTraces: exportsTraces(os.Getenv),
			}
			return serve(cmd.Context(), newApp(o, s), logger, s.roles)
		},
	}
}

// exportsTraces reports whether the standard variables name somewhere for traces to go.
func exportsTraces(getenv func(string) string) bool {
	return getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// serve runs an app until ctx ends or the app gives up.
func serve(ctx context.Context, app *fx.App, logger *slog.Logger, roles []string) error {
	if err := startApp(ctx, app); err != nil {
		return err
	}
	logger.Info("serving", slog.Any("roles", roles), slog.String("version", buildVersion()))
	code := waitApp(ctx, app)
	logger.Info("stopping: finishing what is in hand")
	err := stopApp(ctx, app)
	if err == nil && code != 0 {
		return exitWith(code, nil)
	}
	return err
}

func startApp(ctx context.Context, app *fx.App) error {
	if err := app.Err(); err != nil {
		return rootCause(err)
	}
	start, cancel := context.WithTimeout(ctx, app.StartTimeout())
	defer cancel()
	if err := app.Start(start); err != nil {
		return rootCause(err)
	}
	return nil
}

// waitApp returns when ctx ends, or with an exit code when the app gives up.
func waitApp(ctx context.Context, app *fx.App) int {
	select {
	case <-ctx.Done():
		return 0
	case signal := <-app.Wait():
		return signal.ExitCode
	}
}

func stopApp(ctx context.Context, app *fx.App) error {
	// ctx has ended: that is why we stop.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), app.StopTimeout()+time.Second)
	defer cancel()
	if err := app.Stop(stop); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// rootCause takes off what fx says of which constructor needed which, which is no news to a user.
func rootCause(err error) error { return dig.RootCause(err) }
