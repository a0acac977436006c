package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/internal/seal"
	"github.com/rastrohq/rastro/store"
	"github.com/rastrohq/rastro/tracking"
)

// readerOf gives the commands of a page an address, and the token of somebody with roles.
func (e *environment) readerOf(t *testing.T, url string, roles ...string) {
	t.Helper()
	token, err := e.issuer.Mint(t.Context(), issuer.ServiceClientID, "talma-pe", roles...)
	require.NoError(t, err)
	t.Setenv("RASTRO_URL", url)
	t.Setenv("RASTRO_TOKEN", token)
}

func TestTheIdentityPageSaysWhatHappens(t *testing.T) {
	e := newEnvironment(t)
	e.process.Credentials.Key = strings.Repeat("k", 32)
	url, _ := e.serve(t, roleIngest)
	t.Setenv("RASTRO_DATABASE_URL", e.process.Database.URL)
	t.Setenv("RASTRO_CREDENTIALS_KEY", e.process.Credentials.Key)
	t.Setenv("RASTRO_URL", url)
	require.Greater(t, pageSaysWhatHappens(t, "identity.md"), 5)
}

func TestTheCarriersPageSaysWhatHappens(t *testing.T) {
	e := newEnvironment(t)
	url, _ := e.serve(t, roleIngest, roleProcessor, roleQuery)
	e.readerOf(t, url, roleEventsWrite, roleTracesRead, roleOpsRead, roleOpsWrite)
	require.Greater(t, pageSaysWhatHappens(t, "carriers.md"), 16)
}

func TestTheLivePageSaysWhatHappens(t *testing.T) {
	e := newEnvironment(t)
	ingest, _ := e.serve(t, roleIngest)
	e.serve(t, roleProcessor)
	query, _ := e.serve(t, roleQuery)
	e.readerOf(t, query, roleTracesRead, roleOpsRead)
	sending, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	senders.Go(func() { // what the page's stream tells of
		for ticker := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-ticker.C:
			case <-sending.Done():
				ticker.Stop()
				return
			}
			status, answer := e.do(t, http.MethodPost, ingest+"/api/v1/events", strings.ReplaceAll(loadedEvent, "ROLE-1", "0045123456"))
			if status != http.StatusAccepted {
				t.Error(answer)
			}
		}
	})
	defer senders.Wait()
	defer stop()
	require.Greater(t, pageSaysWhatHappens(t, "live.md"), 2)
}

func TestThePausingPageSaysWhatHappens(t *testing.T) {
	e := newEnvironment(t)
	query, _ := e.serve(t, roleQuery)
	e.readerOf(t, query, roleOpsRead, roleOpsWrite, roleTenantsAll)
	require.Equal(t, 4, pageSaysWhatHappens(t, "pausing.md"))
}

func TestThePersonalDataPageSaysWhatHappens(t *testing.T) {
	e := newEnvironment(t)
	old := seal.NewMaster()
	ring, err := seal.ParseRing(old)
	require.NoError(t, err)
	e.process.Personal.Key = seal.NewMaster() + "," + old
	db, err := store.Open(t.Context(), store.Config{URL: e.process.Database.URL, PersonalKeys: ring})
	require.NoError(t, err)
	defer db.Close()
	at := time.Date(2026, 6, 20, 15, 5, 0, 0, time.UTC)
	_, err = db.Persist(t.Context(), []*tracking.Event{{ // the page's event, as it was stored
		UID: uuid.MustParse("019ee5a1-98e0-7000-8000-000000000001"), TenantID: "talma-pe", Source: "LA", EventID: "1", CorrelationID: "0045123456",
		AggregateID: "0045123456", Type: "loaded", Classifier: tracking.Actual, OccurredAt: at, ReceivedAt: at,
		Personal: &tracking.Personal{Subject: "C-20817", Data: json.RawMessage(`{"name": "Ana Quispe", "seat": "12A"}`)},
	}})
	require.NoError(t, err)
	url, _ := e.serve(t, roleQuery)
	e.readerOf(t, url, rolePersonalRead, rolePersonalForget, roleOpsRead)
	t.Setenv("RASTRO_DATABASE_URL", e.process.Database.URL)
	t.Setenv("RASTRO_PERSONAL_KEY", e.process.Personal.Key)
	require.Greater(t, pageSaysWhatHappens(t, "personal-data.md"), 4)
}
