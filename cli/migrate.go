package cli

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/telemetry"
	"github.com/rastrohq/rastro/store"
)

func newMigrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database schema up to date",
		Long: `Bring the schema of the database that RASTRO_DATABASE_URL names up to date, and add the tenants of tenants.yaml that
do not exist; those that do stay as they are. It is safe to run at any time, by several processes at once; ` + "`rastro dev`" + ` does it by itself.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			process, err := config.FromEnvironment(os.Environ())
			if err != nil {
				return exitWith(exitUsage, err)
			}
			if process.Database.URL == "" {
				return exitWith(exitUsage, errors.New("RASTRO_DATABASE_URL is not set: say which database, as postgres://user:password@host:5432/rastro"))
			}
			logger, err := telemetry.NewLogger(cmd.ErrOrStderr(), process.Log.Level, process.Log.Format)
			if err != nil {
				return err
			}
			if err := store.MigrateWith(cmd.Context(), storeConfig(process), logger); err != nil {
				return err
			}
			return setUp(cmd.Context(), process)
		},
	}
}
