package cli

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
	"github.com/rastrohq/rastro/internal/devstack/faults"
)

// receives returns how many messages an address has received by its metrics, how many of these had been received before, and how
// many five times before.
func (c *cluster) receives(address string) (all, again, often int) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, address+"/metrics", http.NoBody)
	require.NoError(c.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(c.t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	var once, fiveTimes int
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var n float64
		if rest, found := strings.CutPrefix(name, "rastro_sqs_message_receives_"); found {
			_, err := fmt.Sscan(value, &n)
			require.NoError(c.t, err)
			switch {
			case strings.HasPrefix(rest, "count"):
				all += int(n)
			case strings.Contains(rest, `le="1"`):
				once += int(n)
			case strings.Contains(rest, `le="5"`):
				fiveTimes += int(n)
			}
		}
	}
	return all, all - once, all - fiveTimes
}

// Over SQS as over NATS: neither an outage of the database nor one of the broker makes a dead letter of anything, messages are hardly
// received again, nobody is told 202 for what is not stored, and once it is over everything is stored, once.
func TestOutagesOverSQSArePoisonToNothing(t *testing.T) {
	c := newClusterOver(t, config.BrokerSQS) // not in parallel: a process can run one emulator
	c.broker = c.before(&c.process.Broker.SQS.Endpoint)
	c.process.Ingest.Timeout = 3 * time.Second
	ingest, processor := c.play(roleIngest), c.play(roleProcessor)
	breaker := func() float64 {
		return c.metric(processor, `rastro_breaker_state{pipeline="tracking",stage="dedupe"}`)
	}
	for _, f := range []struct {
		name   string
		proxy  *faults.Proxy
		fault  func(*faults.Proxy) error
		broker bool
	}{
		{"database-gone", c.database, func(p *faults.Proxy) error { p.Cut(); return nil }, false},
		{"broker-gone", c.broker, func(p *faults.Proxy) error { p.Cut(); return nil }, true},
		{"broker-silent", c.broker, (*faults.Proxy).Silence, true},
	} {
		ok := t.Run(f.name, func(t *testing.T) {
			c.t = t
			l := c.ledger("SQS-" + f.name)
			stop := l.load(ingest, 2, 50*time.Millisecond)
			require.Eventually(t, func() bool { return c.query("SELECT count(*) FROM event_store WHERE source = '"+l.prefix+"'") > 0 },
				30*time.Second, 20*time.Millisecond)
			_, before, _ := c.receives(processor)
			require.NoError(t, f.fault(f.proxy))
			accepted, refused := l.count(http.StatusAccepted), l.count(http.StatusServiceUnavailable)
			if f.broker {
				require.Eventually(t, func() bool { return l.count(http.StatusServiceUnavailable) > refused }, 30*time.Second, 20*time.Millisecond,
					"ingest says that the broker does not take anything")
			} else {
				require.Eventually(t, func() bool { return breaker() > 0 }, 30*time.Second, 20*time.Millisecond, "the breaker opens")
			}
			during(t, outage(t, 2*time.Second), func() {})
			if !f.broker {
				require.Greater(t, l.count(http.StatusAccepted), accepted, "ingest goes on accepting")
			}
			require.NoError(t, f.proxy.Mend())
			stop()
			require.Empty(t, l.wrong)
			if !f.broker {
				require.Empty(t, l.open(), "nothing is refused while the broker is up")
			}
			l.resend(ingest)
			l.requireStored(time.Minute)
			all, again, often := c.receives(processor)
			require.NotZero(t, all)
			t.Logf("answered: %v; %d messages received, %d of them again in this outage, %d more than five times in any", l.statuses, all, again-before, often)
			if !f.broker {
				// What is in hand is held; what was asked for when the gate was shut is given back at once.
				require.LessOrEqual(t, again-before, 2*64)
			}
			require.Zero(t, often, "nothing comes near to being given up, which it is after fifty")
			require.Eventually(t, func() bool { return breaker() == 0 }, 10*time.Second, 50*time.Millisecond)
		})
		c.t = t
		if !ok {
			return
		}
	}
}
