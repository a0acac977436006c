"""Reads the reports of deploy/verify/trivy.go.

trivy.py --expect ID,... REPORT...   fails unless all of these are found
trivy.py --ignored FILE REPORT...    fails where a finding has no explanation, or an explanation no finding"""
import json, os, re, sys


def explanations(path):
    """Reads the explanations: an id, patterns of what it is about (a resource, or else the message), and why it is left."""
    found = []
    for number, line in enumerate(open(path), 1):
        if match := re.match(r"  - id: (\S+)$", line):
            found.append({"id": match[1], "about": [], "why": "", "line": number})
        elif match := re.match(r"      - '(.+)'$", line):
            found[-1]["about"].append(match[1])
        elif match := re.match(r"    why: (.+)$", line):
            found[-1]["why"] = match[1]
        elif not re.match(r"(#.*|findings:|    about:|\s*)$", line):
            sys.exit(f"{path}:{number} is not understood: {line.rstrip()}")
    for e in found:
        assert e["why"] and e["about"], f"{path}:{e['line']}: {e['id']} is not explained"
    return found


mode, what, reports = sys.argv[1], sys.argv[2], sys.argv[3:]
told = {os.path.basename(path).removesuffix(".json"): json.load(open(path)) for path in reports}
if mode == "--expect":
    ids = {f["id"] for r in told.values() for f in r["findings"]}
    sys.exit(", ".join(f"{i} is not among {sorted(ids)}" for i in what.split(",") if i not in ids) or 0)
explained, used, bad, count = explanations(what), set(), 0, 0
for name, report in told.items():
    assert report["checked"], f"nothing was checked of {name}"
    left = 0
    for f in report["findings"]:
        count += 1
        known = [e for e in explained if e["id"] == f["id"] and any(re.search(a, f["resource"] or f["message"]) for a in e["about"])]
        used.update(e["line"] for e in known)
        if not known:
            left += 1
            print(f"  {f['severity']} {f['id']} {f['file']}:{f['line']} {f['resource']}: {f['message']}")
    bad += left
    print(f"  {name}: {report['checked']} results of checks, {len(report['findings'])} findings of severity high or critical, {left} not explained")
for e in explained:
    if e["line"] not in used:
        print(f"  {e['id']} is explained and not found any more: {e['about']}")
        bad += 1
sys.exit(1 if bad else 0)
