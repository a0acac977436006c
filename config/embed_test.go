package config_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/tracking"
)

func read(t *testing.T, files fs.FS, name string) string {
	t.Helper()
	content, err := fs.ReadFile(files, name)
	require.NoError(t, err)
	return string(content)
}

func TestFilesAreAFileSystem(t *testing.T) {
	t.Parallel()
	require.NoError(t, fstest.TestFS(config.Files(), "event.schema.json", "milestones.yaml", "tenants.yaml",
		"pipelines/tracking.yaml", "reference/airports.csv", "reference/airlines.csv", "reference/NOTICE", "reference/README.md"))
}

// The tests of the pipelines stand beside them, and stay out of the binary.
func TestPipelineTestsAreNotShipped(t *testing.T) {
	t.Parallel()
	require.DirExists(t, "pipelines/tests/tracking")
	entries, err := fs.ReadDir(config.Files(), "pipelines")
	require.NoError(t, err)
	for _, entry := range entries {
		require.False(t, entry.IsDir(), entry.Name())
	}
}

func TestOverlayPutsTheFolderInFront(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "pipelines"), 0o750))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "carriers", "la"), 0o750))
	for name, content := range map[string]string{
		"milestones.yaml": "mine", "pipelines/own.yaml": "own", "carriers/la/map.yaml": "la",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	files := config.Overlay(dir)

	require.Equal(t, "mine", read(t, files, "milestones.yaml"))
	require.Equal(t, "own", read(t, files, "pipelines/own.yaml"))
	require.Equal(t, read(t, config.Files(), "pipelines/tracking.yaml"), read(t, files, "pipelines/tracking.yaml"))
	matches, err := fs.Glob(files, "pipelines/*.yaml")
	require.NoError(t, err)
	require.Equal(t, []string{"pipelines/own.yaml", "pipelines/tracking.yaml"}, matches)
	require.NoError(t, fstest.TestFS(files, "milestones.yaml", "tenants.yaml", "pipelines/own.yaml", "pipelines/tracking.yaml",
		"carriers/la/map.yaml", "reference/airports.csv"))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "tenants.yaml"), []byte("later"), 0o600))
	require.Equal(t, "later", read(t, files, "tenants.yaml"))
}

func TestOverlayWithoutAFolderIsWhatIsShipped(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "absent")} {
		files := config.Overlay(dir)
		require.Equal(t, read(t, config.Files(), "tenants.yaml"), read(t, files, "tenants.yaml"))
		_, err := fs.ReadFile(files, "nothing.yaml")
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}

func TestOverlayStaysInItsFolder(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "secret.yaml")
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o600))
	dir := t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "tenants.yaml")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "real.yaml"), []byte("real"), 0o600))
	require.NoError(t, os.Symlink("real.yaml", filepath.Join(dir, "milestones.yaml")))
	files := config.Overlay(dir)

	// An error, not the shipped file: whoever put the link there would otherwise never learn that it is not read.
	_, err := fs.ReadFile(files, "tenants.yaml")
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	require.Equal(t, "real", read(t, files, "milestones.yaml"))
	for _, name := range []string{"../secret.yaml", "/etc/hostname", "a/../b", ""} {
		_, err := files.Open(name)
		require.ErrorIs(t, err, fs.ErrInvalid, name)
	}
}

func TestShippedTenants(t *testing.T) {
	t.Parallel()
	var file struct {
		Tenants []struct {
			ID, Name, Country string
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, config.Files(), "tenants.yaml")), &file))
	countries := map[string]string{}
	for _, tenant := range file.Tenants {
		require.NotEmpty(t, tenant.Name)
		countries[tenant.ID] = tenant.Country
	}
	require.Equal(t, map[string]string{"talma-pe": "PE", "talma-ec": "EC", "talma-co": "CO", "talma-mx": "MX"}, countries)
}

func TestShippedReferenceData(t *testing.T) {
	t.Parallel()
	file, err := config.Files().Open("reference/airports.csv")
	require.NoError(t, err)
	places, err := tracking.LoadPlaces(file)
	require.NoError(t, err)
	quito, ok := places.Lookup("SEQM")
	require.True(t, ok)
	require.Equal(t, "UIO", quito.IATA)
	require.Equal(t, "America/Guayaquil", quito.TimeZone)

	file, err = config.Files().Open("reference/airlines.csv")
	require.NoError(t, err)
	airlines, err := tracking.LoadAirlines(file)
	require.NoError(t, err)
	for prefix, designator := range map[string]string{"157": "QR", "933": "KZ", "239": "MK", "117": "SK"} {
		airline, ok := airlines.ByPrefix(prefix)
		require.True(t, ok, prefix)
		require.Equal(t, designator, airline.IATA)
	}
}

func TestShippedMilestones(t *testing.T) {
	t.Parallel()
	file, err := config.Files().Open("milestones.yaml")
	require.NoError(t, err)
	catalog, err := tracking.LoadCatalog(file)
	require.NoError(t, err)

	const none = tracking.Milestone("")
	cases := []struct {
		kind      tracking.Kind
		code      string
		milestone tracking.Milestone
		exception string
	}{
		{"", "checked_in", tracking.Accepted, ""},
		{tracking.Baggage, "CHECKED_IN", tracking.Accepted, ""},
		{tracking.Baggage, "on_belt", tracking.Available, ""},
		{tracking.Parcel, "on_hold", none, "on_hold"},
		{tracking.Baggage, "offloaded", tracking.Processing, "offloaded"},
		{tracking.Parcel, "missing", none, "missing"},
		{tracking.Parcel, "found", none, tracking.ExceptionCleared},
		{tracking.Cargo, "BKD", tracking.Announced, ""},
		{tracking.Cargo, "RCS", tracking.Accepted, ""},
		{tracking.Cargo, "MAN", tracking.Processing, ""},
		{tracking.Cargo, "DEP", tracking.InTransit, ""},
		{tracking.Cargo, "RCF", tracking.Arrived, ""},
		{tracking.Cargo, "TFD", tracking.Transfer, ""},
		{tracking.Cargo, "NFD", tracking.Available, ""},
		{tracking.Cargo, "DLV", tracking.Delivered, ""},
		{tracking.Cargo, "TGC", none, "customs"},
		{tracking.Cargo, "CCD", none, "cleared:customs"},
		{tracking.Cargo, "DOC", tracking.None, ""},
		{tracking.Cargo, "MSCA", none, "missing"},
		{tracking.Cargo, "FDCA", none, "cleared:missing"},
		{tracking.Cargo, "DIS", none, "discrepancy"},
		{tracking.Cargo, "DIS/FDAW", none, "cleared:documents_missing"},
		{tracking.Baggage, "LOD", tracking.Loaded, ""},
		{tracking.Baggage, "NAL", tracking.Loaded, "security_alert"},
		{tracking.Baggage, "OFF", tracking.Processing, "offloaded"},
		{tracking.Baggage, "NOF", tracking.Arrived, ""},
		{tracking.Baggage, "REJ", tracking.Processing, "screening_rejected"},
		{tracking.Passenger, "NOSHO", none, "no_show"},
		{tracking.Passenger, "PAX_BOARDED", tracking.Loaded, ""},
		{tracking.Parcel, "InTransit_002", tracking.Accepted, ""},
		{tracking.Parcel, "InTransit_007", tracking.InTransit, ""},
		{tracking.Parcel, "InTransit_Arrival", tracking.Arrived, ""},
		{tracking.Parcel, "Delivered", tracking.Delivered, ""},
		{tracking.Parcel, "Exception_013", tracking.Lost, ""},
		{tracking.Parcel, "Expired_001", tracking.Expired, ""},
		{tracking.Parcel, "AttemptFail_001", none, "delivery_failed"},
		{tracking.Parcel, "com.andes.parcel.picked_up", tracking.Accepted, ""},
		{tracking.Parcel, "com.andes.parcel.out_for_delivery", tracking.OutForDelivery, ""},
		{tracking.Equipment, "DEPA", tracking.InTransit, ""},
		{tracking.Equipment, "DROP", tracking.Delivered, ""},
		{tracking.Equipment, "CUSI", none, "customs"},
	}
	for _, c := range cases {
		meaning, ok := catalog.Lookup(c.kind, c.code)
		require.True(t, ok, "%s %s", c.kind, c.code)
		require.Equal(t, tracking.Meaning{Milestone: c.milestone, Exception: c.exception}, meaning, "%s %s", c.kind, c.code)
	}

	for _, kind := range append(tracking.Kinds(), "") {
		for _, milestone := range tracking.Milestones() {
			meaning, ok := catalog.Lookup(kind, string(milestone))
			require.True(t, ok)
			require.Equal(t, tracking.Meaning{Milestone: milestone}, meaning)
		}
		for _, code := range []string{"ZZZ", "QQ", "evt.4711", "BELT_TEMP_HOLD"} {
			_, ok := catalog.Lookup(kind, code)
			require.False(t, ok, code)
		}
	}
	// A cargo code means nothing for a bag.
	_, ok := catalog.Lookup(tracking.Baggage, "RCF")
	require.False(t, ok)
}
