package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/routers/sqs"
)

// costFactor is how far an estimate may be from what happens.
const costFactor = 0.25

// What is estimated is what happens: the shipped pipeline at a steady load, over the emulator, by the transport's own metrics.
func TestTheEstimateIsWhatHappens(t *testing.T) {
	e := newEnvironmentOver(t, config.BrokerSQS)
	ingest, _ := e.serve(t, roleIngest)
	processor, _ := e.serve(t, roleProcessor)
	db, err := pgx.Connect(t.Context(), e.process.Database.URL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(t.Context())) })
	stored := func(n int) {
		require.Eventually(t, func() bool {
			var got int
			require.NoError(t, db.QueryRow(t.Context(), "select count(*) from event_store").Scan(&got))
			return got >= n
		}, 30*time.Second, 10*time.Millisecond)
	}
	sent := 0
	post := func(events int) {
		body := make([]string, events)
		for i := range body {
			sent++
			body[i] = strings.ReplaceAll(loadedEvent, "ROLE-1", fmt.Sprintf("COST-%d", sent))
		}
		status, answer := e.do(t, http.MethodPost, ingest+"/api/v1/events", "["+strings.Join(body, ",")+"]")
		require.Equal(t, http.StatusAccepted, status, answer)
	}
	post(1) // so that everything is warm
	stored(1)

	const requests, each, every = 40, 25, 125 * time.Millisecond
	before := requestsOf(t, ingest, processor)
	began := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range requests {
		<-tick.C
		post(each)
	}
	stored(sent)
	took := time.Since(began)
	after := requestsOf(t, ingest, processor)

	events := float64(requests * each)
	got := runWith(t, options{}, map[string]string{
		"RASTRO_SQS_WAIT": e.process.Broker.SQS.Wait.String(), "RASTRO_SQS_VISIBILITY_TIMEOUT": e.process.Broker.SQS.VisibilityTimeout.String(),
	}, "pipeline", "cost", "--events-per-hour", fmt.Sprint(events/took.Hours()), "--request-events", fmt.Sprint(each),
		"--rejected", "0", "--duplicates", "0", "--event-bytes", "30", "-o", "json")
	require.Zero(t, got.code, got.failure)
	var cost sqs.Cost
	require.NoError(t, json.Unmarshal([]byte(got.out), &cost))
	hours := took.Hours()
	near := func(what string, estimated, happened float64) {
		t.Logf("%s: estimated %.0f, happened %.0f", what, estimated, happened)
		require.LessOrEqual(t, math.Abs(estimated-happened), costFactor*happened, "%s: estimated %.0f, happened %.0f", what, estimated, happened)
	}
	diff := func(operation string) float64 { return after[operation] - before[operation] }
	near("sends", cost.Requests.Send*hours, diff("SendMessageBatch"))
	near("receives", (cost.Requests.Receive+cost.Requests.Empty)*hours, diff("ReceiveMessage"))
	near("deletes", cost.Requests.Delete*hours, diff("DeleteMessageBatch"))
	near("all", cost.Requests.Total()*hours, diff("SendMessageBatch")+diff("ReceiveMessage")+diff("DeleteMessageBatch"))
	near("requests per 1,000 events", cost.PerThousand,
		1000*(diff("SendMessageBatch")+diff("ReceiveMessage")+diff("DeleteMessageBatch"))/diff("events.ingested sent"))
	near("events in a frame at ingest", cost.Workload.RequestEvents, diff("events.ingested sent")/diff("events.ingested frames sent"))
	near("charged", cost.Billed.Total()*hours, diff("charged"))
}

// requestsOf adds up what processes say of themselves.
func requestsOf(t *testing.T, urls ...string) map[string]float64 {
	t.Helper()
	sums := map[string]float64{}
	for _, url := range urls {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		for _, sample := range sample.FindAllStringSubmatch(string(text), -1) {
			value, err := strconv.ParseFloat(sample[3], 64)
			require.NoError(t, err)
			labels := sample[2]
			switch sample[1] {
			case "rastro_sqs_requests_total":
				sums[labelled(labels, "operation")] += value
			case "rastro_sqs_billed_requests_total":
				sums["charged"] += value
			case "rastro_sqs_frame_events_sum":
				sums[labelled(labels, "topic")+" "+labelled(labels, "direction")] += value
			case "rastro_sqs_frame_events_count":
				sums[labelled(labels, "topic")+" frames "+labelled(labels, "direction")] += value
			}
		}
	}
	return sums
}

var sample = regexp.MustCompile(`(?m)^(rastro_sqs_\w+)\{([^}]*)\} (\S+)`)

func labelled(labels, name string) string {
	_, rest, _ := strings.Cut(labels, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func TestCostIsAsked(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{}, exitUsage, "events-per-hour"},
		{[]string{"--events-per-hour", "-1"}, exitUsage, "events an hour"},
		{[]string{"--events-per-hour", "1", "--rejected", "2"}, exitUsage, "share"},
		{[]string{"--events-per-hour", "1", "--price-per-million", "-1"}, exitUsage, "negative"},
		{[]string{"--events-per-hour", "1", "-o", "xml"}, exitUsage, "text, json"},
		{[]string{"--events-per-hour", "1", "nosuch"}, exitNotFound, "there is no pipeline"},
		{[]string{"--events-per-hour", "1", "tracking"}, 0, ""},
		{[]string{"--events-per-hour", "1", "../config/pipelines/tracking.yaml"}, 0, ""},
	} {
		got := runPipeline(t, append([]string{"cost"}, c.args...)...)
		require.Equal(t, c.code, got.code, "%v: %v", c.args, got.failure)
		if c.says != "" {
			require.ErrorContains(t, got.failure, c.says)
		} else {
			require.Contains(t, got.out, "requests per 1,000 events")
		}
	}
}
