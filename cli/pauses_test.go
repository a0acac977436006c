package cli

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/live"
	"github.com/rastrohq/rastro/api/ops"
	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/devstack/issuer"
	"github.com/rastrohq/rastro/routers/nats"
	"github.com/rastrohq/rastro/store"
)

// pauseStand is a cluster whose stages somebody pauses.
type pauseStand struct {
	*cluster

	query string // the address of who answers
}

func newPauseStand(t *testing.T, kind, stages string) *pauseStand {
	t.Helper()
	s := &pauseStand{}
	if kind == config.BrokerNATS {
		s.cluster = newCluster(t)
	} else {
		s.cluster = newClusterOver(t, kind)
	}
	s.process.ConfigDir = t.TempDir()
	dir := filepath.Join(s.process.ConfigDir, "pipelines")
	require.NoError(t, os.Mkdir(dir, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tracking.yaml"), []byte(stagesOf(stages)), 0o600))
	return s
}

// rastro runs a command as somebody with roles.
func (s *pauseStand) rastro(roles []string, args ...string) ran {
	s.t.Helper()
	token, err := s.issuer.Mint(s.t.Context(), issuer.ServiceClientID, "talma-pe", roles...)
	require.NoError(s.t, err)
	return testRun{now: time.Now, env: map[string]string{"RASTRO_URL": s.query, "RASTRO_TOKEN": token}}.do(s.t, args...)
}

func operatorOfAll() []string { return []string{roleOpsRead, roleOpsWrite, roleTenantsAll} }

// get asks for what an operator of one tenant may see.
func (s *pauseStand) get(path string, into any) {
	s.t.Helper()
	status, body := s.as(s.t, []string{roleOpsRead}, http.MethodGet, s.query+"/api/v1/"+path, "")
	require.Equal(s.t, http.StatusOK, status, body)
	require.NoError(s.t, json.Unmarshal([]byte(body), into), body)
}

// stands waits until so many processes say that they run the stage, and that it stands still in so many of them.
func (s *pauseStand) stands(stage string, processes, still int) (found live.StageDetail) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		s.get("stages/"+stage+"?window=1m", &found)
		return found.Processes == processes && found.Standing == still
	}, time.Minute, 100*time.Millisecond, stage)
	return found
}

// Under load a stage is paused, in the process that runs it and in one that starts meanwhile: nothing reaches it, ingest goes on, and once
// it is resumed everything is stored, nothing twice, and the books balance. It is so too when it shares its hop with another stage.
func TestAPausedStageHoldsEverythingAndLosesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind, stages, hop string
		with              []string
	}{
		"apart":    {config.BrokerNATS, apart, "persist", []string{"tracking.persist"}},
		"fused":    {config.BrokerNATS, fusedEnd, "enrich", []string{"tracking.enrich", "tracking.persist"}},
		"over SQS": {config.BrokerSQS, apart, "persist", []string{"tracking.persist"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPauseStand(t, c.kind, c.stages)
			ingest := s.play(roleIngest)
			s.query = s.play(roleQuery)
			first := s.play(roleProcessor)
			sent := s.ledger("paused-" + c.hop)
			stop := sent.load(ingest, 2, 20*time.Millisecond)
			defer stop()
			stored := func() int { return s.cluster.query("SELECT count(*) FROM event_store") }
			require.Eventually(t, func() bool { return stored() >= 10*batchSize }, time.Minute, 20*time.Millisecond)

			got := s.rastro(operatorOfAll(), "pipeline", "pause", "tracking.persist", "--reason", "the warehouse moves", "--json")
			require.Zero(t, got.code, got.failure)
			answer := decodeAs[ops.StageControl](t, []byte(got.out))
			require.Equal(t, []any{true, true, c.with, []string{"tracking.persist"}}, []any{answer.Paused, answer.Changed, answer.Stages, answer.HeldBy})
			require.Equal(t, "the warehouse moves", answer.Pause.Reason)
			s.stands("tracking.persist", 1, 1)
			// What was in hand is finished, and from then on nothing comes.
			require.Eventually(t, func() bool { _, inHand := s.queued(c.hop); return inHand == 0 }, time.Minute, 20*time.Millisecond)
			held := stored()

			second := s.play(roleProcessor)
			s.stands("tracking."+c.hop, 2, 2)
			before := sent.count(http.StatusAccepted)
			require.Eventually(t, func() bool {
				pending, _ := s.queued(c.hop)
				return sent.count(http.StatusAccepted) >= before+40 && pending > 5
			}, time.Minute, 20*time.Millisecond, "ingest goes on, and the queue grows")
			require.Equal(t, held, stored())
			for _, address := range []string{first, second} {
				require.EqualValues(t, 1, s.metric(address, `rastro_stage_paused{pipeline="tracking",stage="persist",topic="tracking.`+c.hop+`"}`))
				require.EqualValues(t, 0, s.metric(address, `rastro_stage_paused{pipeline="tracking",stage="dedupe",topic="tracking.dedupe"}`))
			}
			s.requireShown(c.hop, c.with)
			got = s.rastro(operatorOfAll(), "pipeline", "pause", "tracking.persist", "--reason", "another")
			require.Zero(t, got.code, got.failure)
			require.Contains(t, got.out, "tracking.persist is paused already, by ")
			require.Contains(t, got.out, ": the warehouse moves")
			require.Equal(t, held, stored())

			got = s.rastro(operatorOfAll(), "pipeline", "resume", "tracking.persist", "--reason", "it has moved")
			require.Zero(t, got.code, got.failure)
			require.Equal(t, "tracking.persist is resumed.\n", got.out)
			stop()
			sent.requireStored(time.Minute)
			require.Empty(t, sent.wrong)
			require.Eventually(t, func() bool {
				var balance struct {
					Settled   bool
					Pipelines []store.Balance
				}
				s.get("stats/balance", &balance)
				return balance.Settled && balance.Pipelines[0].Twice == 0 && int(balance.Pipelines[0].Received) == stored()
			}, time.Minute, 100*time.Millisecond, "the books balance")
			if s.js != nil {
				_, again := s.deliveries()
				require.Zero(t, again, "nothing was received twice")
			}
			s.stands("tracking.persist", 2, 0)
			require.Equal(t, []string{"stages.resume it has moved", "stages.pause the warehouse moves"}, s.noted())
		})
	}
}

// queued returns how many frames wait before a hop, and how many are in hand: as the broker has it, or over SQS as the system tells.
func (s *pauseStand) queued(hop string) (ready, inHand int) {
	s.t.Helper()
	if s.js != nil {
		return s.waiting(nats.StreamName("tracking."+hop), "tracking")
	}
	var queues live.QueueList
	s.get("queues", &queues)
	for _, queue := range queues.Items {
		if queue.Stage == hop && queue.Paused != nil && queue.Ready != nil {
			return int(*queue.Ready), int(*queue.InFlight)
		}
	}
	return 0, 1
}

// requireShown requires that whoever looks sees that the stage stands still, since when, by whom and why.
func (s *pauseStand) requireShown(hop string, with []string) {
	t := s.t
	t.Helper()
	var overview live.Overview
	s.get("overview", &overview)
	require.Len(t, overview.Paused, 1)
	pause := overview.Paused[0]
	require.Equal(t, []any{"tracking.persist", with, "the warehouse moves"}, []any{pause.ID, pause.Stages, pause.Reason})
	require.NotEmpty(t, pause.By)
	require.False(t, pause.Since.IsZero())
	var topology live.Topology
	s.get("topology", &topology)
	shown := map[string]bool{}
	for _, stage := range topology.Nodes {
		shown[stage.ID] = stage.Paused != nil
		if stage.Paused != nil {
			require.Equal(t, pause, *stage.Paused)
		}
	}
	require.Equal(t, map[string]bool{
		"tracking.validate": false, "tracking.dedupe": false, "tracking.enrich": hop == "enrich", "tracking.persist": true,
	}, shown)
	var queues live.QueueList
	s.get("queues", &queues)
	for _, queue := range queues.Items {
		require.Equal(t, queue.Stage == hop, queue.Paused != nil, queue.Topic)
	}
	listed := s.rastro([]string{roleOpsRead}, "pipeline", "paused")
	require.Zero(t, listed.code, listed.failure)
	require.Contains(t, listed.out, "tracking.persist")
	require.Contains(t, listed.out, "the warehouse moves")
}

// noted returns what of stages the audit of no tenant has.
func (s *pauseStand) noted() (noted []string) {
	s.t.Helper()
	got := s.rastro(operatorOfAll(), "dlq", "audit", "--unowned", "--json")
	require.Zero(s.t, got.code, got.failure)
	for _, e := range decodeAs[live.AuditTrail](s.t, []byte(got.out)).Items {
		if e.Action == store.PauseAction || e.Action == store.ResumeAction {
			noted = append(noted, e.Action+" "+e.Reason)
		}
	}
	return noted
}

// Who may not, or asks for what there is not, is told so, and nothing is done.
func TestPausingAStageIsRefusedWithWhy(t *testing.T) {
	t.Parallel()
	s := newPauseStand(t, config.BrokerNATS, fusedEnd)
	s.query = s.play(roleQuery)
	pause := func(roles []string, args ...string) ran {
		return s.rastro(roles, append([]string{"pipeline", "pause"}, args...)...)
	}
	got := pause(operatorOfAll(), "tracking.persist")
	require.Equal(t, exitUsage, got.code)
	require.ErrorContains(t, got.failure, "--reason")
	require.Equal(t, exitUsage, pause(operatorOfAll()).code)
	got = pause(operatorOfAll(), "tracking.none", "--reason", "whatever")
	require.Equal(t, exitNotFound, got.code)
	require.ErrorContains(t, got.failure, `There is no stage "tracking.none"`)
	require.Equal(t, exitNotFound, s.rastro(operatorOfAll(), "pipeline", "resume", "persist").code)
	for _, roles := range [][]string{{roleOpsRead, roleOpsWrite}, {roleOpsRead, roleTenantsAll}, {roleTracesRead}} {
		require.Equal(t, exitUnreachable, pause(roles, "tracking.persist", "--reason", "whatever").code, roles)
		require.Equal(t, exitUnreachable, s.rastro(roles, "pipeline", "resume", "tracking.persist").code, roles)
	}
	for body, status := range map[string]int{
		``: http.StatusBadRequest, `{}`: http.StatusUnprocessableEntity, `{"reason":"  \t "}`: http.StatusUnprocessableEntity, `{"reason":"why"}`: http.StatusOK,
	} {
		got, answer := s.as(t, operatorOfAll(), http.MethodPost, s.query+"/api/v1/stages/tracking.enrich/pause", body)
		require.Equal(t, status, got, answer)
	}
	require.Equal(t, "No stage is paused.\n", func() string {
		require.Zero(t, s.rastro(operatorOfAll(), "pipeline", "resume", "tracking.enrich").code)
		return s.rastro([]string{roleOpsRead}, "pipeline", "paused").out
	}())
	got = s.rastro(operatorOfAll(), "pipeline", "resume", "tracking.enrich")
	require.Equal(t, "tracking.enrich was not paused.\n", got.out)

	// Of two stages of a hop, each is paused for itself.
	require.Contains(t, pause(operatorOfAll(), "tracking.enrich", "--reason", "one").out, "Fused with it, these stand still too: tracking.persist")
	require.Zero(t, pause(operatorOfAll(), "tracking.persist", "--reason", "two").code)
	require.Contains(t, s.rastro(operatorOfAll(), "pipeline", "resume", "tracking.enrich").out,
		"It stands still all the same, fused with what is paused: tracking.persist")

	// What a pipeline lost while it was paused can be resumed all the same.
	_, err := s.sql.Exec(t.Context(), "INSERT INTO stage_controls VALUES ('tracking', 'gone', 'eva', '', 'it is to go')")
	require.NoError(t, err)
	require.Contains(t, s.rastro([]string{roleOpsRead}, "pipeline", "paused").out, "(no pipeline has it)")
	require.Equal(t, "tracking.gone is resumed.\n", s.rastro(operatorOfAll(), "pipeline", "resume", "tracking.gone").out)
	require.Equal(t, exitNotFound, s.rastro(operatorOfAll(), "pipeline", "resume", "tracking.gone").code)
}

// A pause outlives a reload that replaces the pipeline.
func TestAPauseOutlivesAReload(t *testing.T) {
	t.Parallel()
	r := newReloadable(t, apart)
	status, answer := r.as(t, operatorOfAll(), http.MethodPost, r.url+"/api/v1/stages/tracking.persist/pause", `{"reason":"the warehouse moves"}`)
	require.Equal(t, http.StatusOK, status, answer)
	paused := func(stage, topic string) bool {
		c := &cluster{environment: r.environment, t: t}
		return c.metric(r.url, `rastro_stage_paused{pipeline="tracking",stage="`+stage+`",topic="`+topic+`"}`) == 1
	}
	require.Eventually(t, func() bool { return paused("persist", "tracking.persist") }, 30*time.Second, 20*time.Millisecond)
	r.change(fusedWhole, "changed")
	for _, stage := range []string{"validate", "dedupe", "persist"} {
		require.True(t, paused(stage, "events.ingested"), "it takes along what it is fused with now")
	}
	status, answer = r.do(t, http.MethodPost, r.url+"/api/v1/events", loadedEvent)
	require.Equal(t, http.StatusAccepted, status, answer)
	r.change(apart, "changed")
	require.Eventually(t, func() bool { return !paused("validate", "events.ingested") && paused("persist", "tracking.persist") }, 30*time.Second, 20*time.Millisecond)
	status, answer = r.as(t, operatorOfAll(), http.MethodPost, r.url+"/api/v1/stages/tracking.persist/resume", `{}`)
	require.Equal(t, http.StatusOK, status, answer)
	require.Eventually(t, func() bool {
		status, _ := r.do(t, http.MethodGet, r.url+"/api/v1/trace/ROLE-1", "")
		return status == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond)
}
