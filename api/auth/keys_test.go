package auth

import (
	"context"
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKeysThatDoNotCount(t *testing.T) {
	t.Parallel()
	clk := newClock()
	weak, good := rsaSigner(t, "weak", 1024), ecSigner(t, "good")
	a := newAuthority(t, weak, good)
	secret := []byte("0123456789abcdef0123456789abcdef")
	encryption := ecSigner(t, "enc")
	forEncryption := encryption.public()
	forEncryption.Use = "enc"
	otherAlgorithm := ecSigner(t, "pinned")
	pinned := otherAlgorithm.public()
	pinned.Algorithm = "ES384"
	a.mu.Lock()
	a.keys = append(a.keys, forEncryption, pinned,
		map[string]any{"kty": "oct", "kid": "oct", "k": base64.RawURLEncoding.EncodeToString(secret)},
		map[string]any{"kty": "OKP", "crv": "X448", "kid": "unknown kind"}, map[string]any{"kid": 7})
	a.mu.Unlock()

	v := testVerifier(t, a, clk)
	claims := a.goodClaims(clk.now())
	_, err := v.Verify(t.Context(), good.sign(t, claims))
	require.NoError(t, err, "keys that are not understood do not spoil the others")
	for _, s := range []signer{weak, encryption, otherAlgorithm} {
		_, err = v.Verify(t.Context(), s.sign(t, claims))
		require.ErrorIs(t, err, ErrSignature, s.id)
	}
}

func TestVerifyFollowsKeyRotation(t *testing.T) {
	t.Parallel()
	clk, old, next := newClock(), ecSigner(t, "old"), ecSigner(t, "next")
	a := newAuthority(t, old)
	v := testVerifier(t, a, clk)
	before := old.sign(t, a.goodClaims(clk.now()))
	_, err := v.Verify(t.Context(), before)
	require.NoError(t, err)

	a.publish(old, next)
	clk.advance(v.cfg.RefetchInterval)
	_, err = v.Verify(t.Context(), next.sign(t, a.goodClaims(clk.now())))
	require.NoError(t, err, "an unknown key is asked for")
	_, err = v.Verify(t.Context(), before)
	require.NoError(t, err, "the old key counts while it is published")
	require.EqualValues(t, 2, a.keyHit.Load())

	a.publish(next)
	clk.advance(v.cfg.RefetchInterval)
	_, err = v.Verify(t.Context(), ecSigner(t, "unheard of").sign(t, a.goodClaims(clk.now())))
	require.ErrorIs(t, err, ErrSignature)
	_, err = v.Verify(t.Context(), before)
	require.ErrorIs(t, err, ErrSignature, "a withdrawn key ends what the cache remembers")
}

func TestWithdrawnKeysEndInTime(t *testing.T) {
	t.Parallel()
	clk, old, next := newClock(), ecSigner(t, "old"), ecSigner(t, "next")
	a := newAuthority(t, old)
	v := testVerifier(t, a, clk)
	claims := with(a.goodClaims(clk.now()), map[string]any{"exp": clk.now().Add(time.Hour).Unix()})
	raw := old.sign(t, claims)
	_, err := v.Verify(t.Context(), raw)
	require.NoError(t, err)
	a.publish(next)
	clk.advance(v.cfg.KeysMaxAge)
	_, err = v.Verify(t.Context(), raw)
	require.ErrorIs(t, err, ErrSignature)
}

func TestUnknownKeysAreAskedForOnceInAWhile(t *testing.T) {
	t.Parallel()
	clk, key := newClock(), ecSigner(t, "k")
	a := newAuthority(t, key)
	v := testVerifier(t, a, clk)
	require.NoError(t, v.Ready(t.Context()))
	clk.advance(v.cfg.RefetchInterval)

	var wg sync.WaitGroup
	for i := range 50 {
		raw := ecSigner(t, fmt.Sprint("made up ", i)).sign(t, a.goodClaims(clk.now()))
		wg.Go(func() {
			_, err := v.Verify(context.WithoutCancel(t.Context()), raw)
			if err == nil {
				t.Error("a made-up key was taken")
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 2, a.keyHit.Load(), "one fetch at the start, one for all the made-up names")
	_, err := v.Verify(t.Context(), key.sign(t, a.goodClaims(clk.now())))
	require.NoError(t, err)
}

func TestIssuerDown(t *testing.T) {
	t.Parallel()
	clk, key := newClock(), ecSigner(t, "k")
	a := newAuthority(t, key)
	a.down.Store(true)
	v := testVerifier(t, a, clk)
	raw := key.sign(t, with(a.goodClaims(clk.now()), map[string]any{"exp": clk.now().Add(72 * time.Hour).Unix()}))

	_, err := v.Verify(t.Context(), raw)
	require.ErrorIs(t, err, ErrUnavailable, "the process started before its issuer")
	require.ErrorIs(t, v.Ready(t.Context()), ErrUnavailable)
	a.down.Store(false)
	_, err = v.Verify(t.Context(), raw)
	require.ErrorIs(t, err, ErrUnavailable, "not asked again at once")
	clk.advance(v.cfg.RetryInterval)
	_, err = v.Verify(t.Context(), raw)
	require.NoError(t, err, "asked again soon")
	require.NoError(t, v.Ready(t.Context()))

	a.down.Store(true)
	clk.advance(v.cfg.KeysMaxAge + time.Hour)
	_, err = v.Verify(t.Context(), raw)
	require.NoError(t, err, "known keys count through an outage")
	_, err = v.Verify(t.Context(), ecSigner(t, "new").sign(t, a.goodClaims(clk.now())))
	require.ErrorIs(t, err, ErrUnavailable, "nothing can be said about an unknown key")
	clk.advance(v.cfg.RetryInterval)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = v.Verify(gone, key.sign(t, with(a.goodClaims(clk.now()), map[string]any{"jti": "another"})))
	require.NoError(t, err, "in an outage nobody waits for keys that are known")
	require.Eventually(t, func() bool { return !v.keys.due() }, 5*time.Second, time.Millisecond)
	clk.advance(v.cfg.KeysMaxStale)
	_, err = v.Verify(t.Context(), raw)
	require.ErrorIs(t, err, ErrUnavailable, "but not for ever")

	a.server.Close()
	clk.advance(time.Minute)
	_, err = v.Verify(t.Context(), raw)
	require.ErrorIs(t, err, ErrUnavailable)
}

func TestVerifyGivesUpWithItsCaller(t *testing.T) {
	t.Parallel()
	clk, key := newClock(), ecSigner(t, "k")
	a := newAuthority(t, key)
	v := testVerifier(t, a, clk)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.mu.Lock() // the issuer hangs
	_, err := v.Verify(ctx, key.sign(t, a.goodClaims(clk.now())))
	a.mu.Unlock()
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, ErrUnavailable)
	require.Eventually(t, func() bool { return v.Ready(t.Context()) == nil }, 5*time.Second, time.Millisecond,
		"the fetch itself went on for the others")
}

func TestIssuerReachedElsewhere(t *testing.T) {
	t.Parallel()
	clk, key := newClock(), ecSigner(t, "k")
	a := newAuthority(t, key)
	a.issuer = "https://id.rastro.example/realms/rastro" // a name that this process cannot reach
	cfg := DefaultConfig(a.issuer)
	cfg.DiscoveryURL = a.server.URL
	v := newVerifier(cfg, testClient(t), quiet(), clk.now)
	_, err := v.Verify(t.Context(), key.sign(t, a.goodClaims(clk.now())))
	require.NoError(t, err)
	m, err := v.discovery.metadata(t.Context())
	require.NoError(t, err)
	require.Equal(t, a.server.URL+"/token", m.endpoint.TokenURL, "this process calls it where it was told to")
	require.Equal(t, a.issuer+"/authorize", m.endpoint.AuthURL, "browsers go to the name")
	require.Equal(t, a.issuer+"/logout", m.endSession)

	cfg.DiscoveryURL += wellKnown
	require.NoError(t, newVerifier(cfg, testClient(t), quiet(), clk.now).Ready(t.Context()), "the whole address will do")
	cfg.Issuer = "https://id.rastro.example/realms/other"
	require.ErrorContains(t, newVerifier(cfg, testClient(t), quiet(), clk.now).Ready(t.Context()), "the configuration expects")
}
