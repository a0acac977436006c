"""Asks Jaeger what became of events that are sent to rastro.

telemetry.py one RASTRO JAEGER LOG TOKEN      one event in a trace of its own, beside one whose trace the sender does not want: there is one
                                              trace from the request to the SQL, the log has its ids, and there is nothing of the other
telemetry.py shared RASTRO JAEGER LOG TOKEN   many requests at once, which share frames: by links each leads to the SQL"""
import concurrent.futures, json, re, secrets, sys, time, urllib.error, urllib.parse, urllib.request

mode, rastro, jaeger, log, token = sys.argv[1:]
REQUEST, SQL = "POST /api/v1/events", "INSERT INTO event_store"
# Every stage of the pipeline that is built in, and the stage log of the one beside it.
STAGES = ["validate", "dedupe", "enrich", "persist", "log"]


def send(number, sampled=True):
    """Sends an event and returns the trace and the span that it was sent in."""
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    event = {"correlation_id": f"VERIFY-{number}", "aggregate_id": f"VERIFY-{number}", "event_type": "loaded",
             "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "payload": {"location": "LIM"}}
    request = urllib.request.Request(rastro + "/api/v1/events", json.dumps(event).encode(), {
        "Authorization": "Bearer " + token, "Content-Type": "application/json", "traceparent": f"00-{trace}-{parent}-0{int(sampled)}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202, answer.status
        told = answer.headers["traceparent"].split("-")[1]
    assert told == trace, f"rastro answered with trace {told} to {trace}"
    return trace, parent


def ask(path):
    """What Jaeger answers: its traces, none where it does not know it yet."""
    try:
        with urllib.request.urlopen(jaeger + path, timeout=10) as answer:
            return json.load(answer)["data"] or []
    except urllib.error.HTTPError as err:
        if err.code == 404:
            return []
        raise


def spans_of(trace):
    return {s["spanID"]: s for t in ask("/api/traces/" + trace) for s in t["spans"]}


def parent_of(span):
    return next((r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"), "")


def links_of(span):
    return {r["traceID"] for r in span["references"] if r["refType"] == "FOLLOWS_FROM"}


def tags(span):
    return {t["key"]: t["value"] for t in span["tags"]}


def above(spans, span):
    """The names of the spans that a span is in, from the nearest to the root."""
    names = []
    while (span := spans.get(parent_of(span))) is not None:
        names.append(span["operationName"])
    return names


def stores(span):
    return SQL in tags(span).get("db.query.text", "")


def wait_for(what, lack):
    """Waits until lack() says that nothing is missing."""
    end = time.monotonic() + 60
    while missing := lack():
        if time.monotonic() > end:
            sys.exit(f"{what} lacks after a minute: {', '.join(missing)}")
        time.sleep(0.5)


def one():
    trace, parent = send(1)
    unwanted, _ = send(2, sampled=False)
    spans = {}

    def lack():
        spans.clear()
        spans.update(spans_of(trace))
        names = {s["operationName"] for s in spans.values()}
        return ([name for name in [REQUEST] + ["process " + stage for stage in STAGES] if name not in names]
                + [SQL] * (not any(map(stores, spans.values()))))

    wait_for(f"the trace {trace}", lack)
    for span in sorted(spans.values(), key=lambda s: s["startTime"]):
        print(f"  {'  ' * len(above(spans, span))}{span['operationName'].splitlines()[0][:90]}  {span['duration'] / 1000:.1f} ms")
    request = next(s for s in spans.values() if s["operationName"] == REQUEST)
    assert parent_of(request) == parent, "the request's span is not below the span that the sender named"
    assert str(tags(request)["http.response.status_code"]) == "202", tags(request)
    for span in spans.values():
        if span["operationName"].startswith("process "):
            assert REQUEST in above(spans, span), f"{span['operationName']} is not below the request"
            assert tags(span)["messaging.destination.name"], tags(span)
    stored = next(filter(stores, spans.values()))
    assert "process persist" in above(spans, stored), f"the SQL is below {above(spans, stored)}"
    services = {p["serviceName"] for t in ask("/api/traces/" + trace) for p in t["processes"].values()}
    assert services == {"rastro-verify"}, services
    with open(log) as lines:
        logged = [line.strip() for line in lines if trace in line]
    ids = [m[1] for line in logged if (m := re.search(r'span_id"?[:=]"?([0-9a-f]{16})', line))]
    assert ids, f"no line of the log names the trace and a span: {logged}"
    assert set(ids) <= set(spans), f"the log names spans that Jaeger does not have: {ids}"
    print("  in the log:", logged[0][:400])
    assert not ask("/api/traces/" + unwanted), "a trace is kept that its sender did not want"
    print(f"  {len(spans)} spans from the request to the SQL in the trace {trace}; {len(logged)} lines of the log have its ids")


def shared():
    count = 64
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        sent = [trace for trace, _ in pool.map(send, range(10, 10 + count))]
    everything = []

    def led(trace):
        """Whether the SQL that stores an event is in the trace or in one whose spans are linked with it."""
        return any(stores(s) and "process persist" in above(t, s) and (
            s["traceID"] == trace or any(trace in links_of(r) for r in t.values() if r["operationName"] == "process persist"))
            for t in everything for s in t.values())

    def lack():
        everything[:] = [{s["spanID"]: s for s in t["spans"]} for t in ask("/api/traces?" + urllib.parse.urlencode(
            {"service": "rastro-verify", "limit": 5000, "lookback": "1h"}))]
        return [trace for trace in sent if not led(trace)]

    wait_for("what leads to the SQL", lack)
    sharing = {s["spanID"]: links_of(s) for t in everything for s in t.values() if len(links_of(s) & set(sent)) > 1}
    assert sharing, "no requests shared a frame"
    persisted = [s["spanID"] for t in everything for s in t.values() if s["operationName"] == "process persist" and s["spanID"] in sharing]
    assert persisted, "no requests shared a frame up to the SQL"
    print(f"  {count} requests, each in a trace of its own, all lead to the SQL; {len(sharing)} spans are linked with several of them,",
          f"with {max(map(len, sharing.values()))} at most; {len(persisted)} are those of what stores events")


{"one": one, "shared": shared}[mode]()
