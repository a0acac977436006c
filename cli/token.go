package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rastrohq/rastro/internal/devstack"
)

// newTokenCommand makes `rastro token`.
func newTokenCommand(io streams) *cobra.Command {
	var tenant, address, dataDir string
	var roles []string
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print a bearer token of the running `rastro dev`",
		Long: `Print a bearer token that the issuer of the running ` + "`rastro dev`" + ` gives to the command line's own client. Only the
token goes to standard output.

Tokens for any other server come from its own identity provider; give them to the commands in RASTRO_TOKEN.`,
		Example: `  rastro token --tenant talma-ec --role ops:read
  curl -H "Authorization: Bearer $(rastro token)" http://localhost:8080/api/v1/trace/0455123456`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := devstack.Find(cmd.Context(), dataDir)
			if err != nil {
				return exitWith(exitUnreachable, err)
			}
			if wanted := firstOf(address, io.getenv("RASTRO_URL")); wanted != "" && !sameServer(wanted, state.URL) {
				return exitWith(exitUnreachable, fmt.Errorf(
					"the running `rastro dev` is %s, not %s: ask that server's identity provider for a token", state.URL, wanted))
			}
			client := &apiClient{http: newHTTPClient()}
			defer client.close()
			client.tokens = devTokens(cmd.Context(), client.http, state, tenant, roles)
			token, err := client.bearer()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&tenant, "tenant", defaultTenant, "the tenant that the token is for")
	flags.StringSliceVar(&roles, "role", []string{roleEventsWrite, roleTracesRead},
		"a role that the token gives: events:write, traces:read, ops:read, ops:write, tenants:all; may be given several times")
	flags.StringVar(&address, "url", "", "the address of the `rastro dev` that is meant (default: RASTRO_URL, or the one that runs)")
	flags.StringVar(&dataDir, "data", "", "the data folder of the running `rastro dev`, when there are several")
	return cmd
}
