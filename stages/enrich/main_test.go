package enrich

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/rastrohq/rastro/internal/devstack/postgres/postgrestest"
)

var databases = postgrestest.New(func(context.Context, string) error { return nil })

func TestMain(m *testing.M) { goleak.VerifyTestMain(databases.Around(m)) }
