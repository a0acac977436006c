"""Sends one event to rastro in a trace of its own and asks Jaeger for that trace.

Usage: telemetry.py RASTRO JAEGER LOG TOKEN"""
import json, secrets, sys, time, urllib.error, urllib.request

rastro, jaeger, log, token = sys.argv[1:]
trace, parent = secrets.token_hex(16), secrets.token_hex(8)
event = {"correlation_id": "VERIFY-1", "aggregate_id": "VERIFY-1", "event_type": "loaded",
         "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "payload": {"location": "LIM"}}
request = urllib.request.Request(rastro + "/api/v1/events", json.dumps(event).encode(), {
    "Authorization": "Bearer " + token, "Content-Type": "application/json", "traceparent": f"00-{trace}-{parent}-01"})
with urllib.request.urlopen(request, timeout=30) as answer:
    assert answer.status == 202, answer.status
    told = answer.headers["traceparent"].split("-")[1]
assert told == trace, f"rastro answered with trace {told} to {trace}"

# What must be in the trace, from the request to the SQL: a name, and what its span says.
HOPS = ["dedupe", "enrich", "persist", "log"]


def found():
    """The spans of the trace by their ids, or none where Jaeger does not know it yet."""
    try:
        with urllib.request.urlopen(f"{jaeger}/api/traces/{trace}", timeout=10) as answer:
            data = json.load(answer)["data"]
    except urllib.error.HTTPError as err:
        if err.code == 404:
            return {}, {}
        raise
    return {s["spanID"]: s for s in data[0]["spans"]}, data[0]["processes"]


def parent_of(span):
    return next((r["spanID"] for r in span["references"] if r["refType"] == "CHILD_OF"), "")


def tags(span):
    return {t["key"]: t["value"] for t in span["tags"]}


def above(spans, span):
    """The names of the spans that a span is in, from the nearest to the root."""
    names = []
    while (span := spans.get(parent_of(span))) is not None:
        names.append(span["operationName"])
    return names


def missing(spans):
    names = {s["operationName"] for s in spans.values()}
    lack = ["process " + hop for hop in HOPS if "process " + hop not in names]
    if "POST /api/v1/events" not in names:
        lack.append("POST /api/v1/events")
    if not any("INSERT INTO event_store" in tags(s).get("db.query.text", "") for s in spans.values()):
        lack.append("the SQL that stores the event")
    return lack


spans, processes, deadline = {}, {}, time.monotonic() + 60
while missing(spans) and time.monotonic() < deadline:
    time.sleep(0.5)
    spans, processes = found()
for span in sorted(spans.values(), key=lambda s: s["startTime"]):
    print(f"  {'  ' * len(above(spans, span))}{span['operationName'].splitlines()[0][:90]}  {span['duration'] / 1000:.1f} ms")
if lack := missing(spans):
    sys.exit(f"the trace {trace} has {len(spans)} spans and lacks: {', '.join(lack)}")

request_span = next(s for s in spans.values() if s["operationName"] == "POST /api/v1/events")
assert parent_of(request_span) == parent, "the request's span is not below the span that the sender named"
assert str(tags(request_span)["http.response.status_code"]) == "202", tags(request_span)
for span in spans.values():
    if span["operationName"].startswith("process "):
        assert "POST /api/v1/events" in above(spans, span), f"{span['operationName']} is not below the request"
        assert tags(span)["messaging.destination.name"], tags(span)
stored = next(s for s in spans.values() if "INSERT INTO event_store" in tags(s).get("db.query.text", ""))
assert "process persist" in above(spans, stored), f"the SQL is below {above(spans, stored)}"
assert {p["serviceName"] for p in processes.values()} == {"rastro"}, processes

with open(log) as lines:
    logged = [line for line in lines if trace in line]
assert logged, "no line of the log names the trace"
print("  and in the log:", logged[0].strip()[:160])
print(f"  {len(spans)} spans from the request to the SQL in the trace {trace}")
