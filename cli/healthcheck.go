package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	livePath  = "/livez"
	readyPath = "/readyz"
	// defaultListen is where a process listens that is not told otherwise.
	defaultListen = ":8080"
	// maxHealthAnswer bounds what is shown of an answer, in bytes.
	maxHealthAnswer = 4 << 10
)

func newHealthcheckCommand(streams streams) *cobra.Command {
	live, timeout, address := false, 3*time.Second, ""
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the rastro of this container whether it is well",
		Long: `Ask the process that listens where RASTRO_LISTEN says, on this machine, whether it is ready: whether the database and the
broker answer it. With --live it is asked whether it answers at all, which is what a container should be restarted by: an outage of
the database is no reason to restart what waits for it.

Images of rastro have no shell and no curl; their health checks run this. It exits with 0 when the answer is good, with 1 when it is
not, and with 5 when there is none.`,
		Example: `  rastro healthcheck
  rastro healthcheck --live --timeout 1s`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return exitWith(exitUsage, fmt.Errorf("--timeout is %v; give it more than 0", timeout))
			}
			base := strings.TrimSuffix(address, "/")
			if base == "" {
				var err error
				if base, err = ownAddress(firstOf(streams.getenv("RASTRO_LISTEN"), defaultListen)); err != nil {
					return exitWith(exitUsage, err)
				}
			}
			path := readyPath
			if live {
				path = livePath
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return askHealth(ctx, cmd.OutOrStdout(), base+path)
		},
	}
	cmd.Flags().BoolVar(&live, "live", live, "ask whether it answers at all, not whether what it depends on does")
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait for the answer")
	cmd.Flags().StringVar(&address, "url", "", "the process's address (default: where RASTRO_LISTEN says, on this machine)")
	return cmd
}

// ownAddress is the URL by which a process is reached from its own machine that listens where listen says.
func ownAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("RASTRO_LISTEN is %q; it is HOST:PORT or :PORT", listen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// askHealth prints what a process answers of its health. An answer that is not 200 is an error.
func askHealth(ctx context.Context, out io.Writer, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}} // a proxy is not this machine
	response, err := client.Do(request)
	if err != nil {
		return exitWith(exitUnreachable, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxHealthAnswer))
	if err != nil {
		return exitWith(exitUnreachable, fmt.Errorf("read the answer of %s: %w", url, err))
	}
	if _, err := fmt.Fprintln(out, strings.TrimSpace(string(answer))); err != nil {
		return fmt.Errorf("print the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return exitWith(exitFailure, errors.New("not well: "+response.Status))
	}
	return nil
}
