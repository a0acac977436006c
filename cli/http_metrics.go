package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/fx"

	"github.com/rastrohq/rastro/config"
)

const metricsPath = "/metrics"

func metricsHandler(gatherer prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// serveMetrics tells the metrics at an address of their own where there is one, which can be closed to those who use the API: metrics name
// tenants and what sends for them. It begins before the API and ends after it, so that a process that stops is seen until its end.
func serveMetrics(lc fx.Lifecycle, shutdown fx.Shutdowner, process config.Process, gatherer prometheus.Gatherer, logger *slog.Logger) {
	if process.MetricsListen == "" {
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+metricsPath, metricsHandler(gatherer))
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	lc.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", process.MetricsListen)
			if err != nil {
				return fmt.Errorf("listen for metrics on %s: %w", process.MetricsListen, err)
			}
			go func() {
				if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
					logger.Error("server of metrics stopped", slog.Any("error", err))
					_ = shutdown.Shutdown(fx.ExitCode(exitFailure))
				}
			}()
			return nil
		},
		OnStop: func(ctx context.Context) error {
			if err := server.Shutdown(ctx); err != nil {
				return fmt.Errorf("stop the server of metrics: %w", errors.Join(err, server.Close()))
			}
			return nil
		},
	})
}
